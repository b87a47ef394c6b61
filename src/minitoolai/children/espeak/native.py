"""libespeak-ng by ctypes: what its speak_lib.h says
(https://github.com/espeak-ng/espeak-ng/blob/1.52.0/src/include/espeak-ng/speak_lib.h).

All of it is one global state, for one thread. What a text does to it cannot be foreseen: only a fork of `mouth` may speak.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from minitoolai.children.report import BootError

#: espeak_AUDIO_OUTPUT: samples come to the callback, and `espeak_Synth` returns when all have.
_SYNCHRONOUS = 2
#: espeak_Initialize: do not exit where data are missing.
_DONT_EXIT = 0x8000
#: espeak_PARAMETER.
_RATE, _PITCH = 1, 3
#: espeak_Synth: `[[…]]` in a text would be sounds where 0x100 were added.
_UTF8, _SSML, _END_PAUSE = 0x01, 0x10, 0x1000
#: espeak_TextToPhonemes: as IPA.
_IPA = 0x02
#: Folders of voices' identifiers that are none: ways to change a voice, and those of a program that is not here.
VARIANTS, MBROLA = "!v/", "mb/"

_GENDERS = {1: "male", 2: "female"}
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Voice(ctypes.Structure):
    """espeak_VOICE."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class NativeVoice(msgspec.Struct, frozen=True):
    """A voice, or a variant, as the library lists it."""

    #: By which it is set, as "gmw/en-US", or "!v/f3".
    identifier: str
    #: For people.
    name: str
    #: The names of its languages, in lower case, with how far down the list of that language's voices it stands.
    languages: tuple[tuple[str, int], ...]
    gender: str | None


class Library:
    """The library, loaded and initialised. Raises `BootError` (`engine_missing`) where it is not there."""

    def __init__(self) -> None:
        self._library, data = _found()
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        #: Samples a second.
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
        if self.rate <= 0:
            raise BootError("engine_missing", f"espeak-ng's data are not beside its library. {_REMEDY}")
        where = ctypes.c_char_p()
        self.version: str = self._library.espeak_Info(ctypes.byref(where)).decode()
        self._data = Path((where.value or b"").decode())
        #: Kept while the library may call it.
        self._callback: object = None

    def voices(self) -> list[NativeVoice]:
        """Return the voices whose data are there, in the library's order."""
        return [voice for voice in self._listed(None) if not voice.identifier.startswith(MBROLA) and self._has_words(voice)]

    def variants(self) -> list[NativeVoice]:
        """Return the ways to change a voice."""
        return list(self._listed(b"variant"))

    def _listed(self, language: bytes | None) -> Iterator[NativeVoice]:
        kept = ctypes.create_string_buffer(language) if language else None
        asked = ctypes.byref(_Voice(languages=ctypes.addressof(kept))) if kept else None
        listed = self._library.espeak_ListVoices(asked)
        index = 0
        while listed[index]:
            voice = listed[index].contents
            yield NativeVoice(
                identifier=voice.identifier.decode(),
                name=voice.name.decode().strip(),
                languages=tuple(_languages(voice.languages)),
                gender=_GENDERS.get(voice.gender),
            )
            index += 1

    def _has_words(self, voice: NativeVoice) -> bool:
        """Whether the voice's dictionary is there: some voices come without, and then read every letter wrong."""
        try:
            lines = (self._data / "lang" / voice.identifier).read_text().splitlines()
        except OSError:
            return True
        named = [line.split()[1] for line in lines if line.startswith("dictionary ")]
        name = named[0] if named else voice.languages[0][0].partition("-")[0]
        return (self._data / f"{name}_dict").exists()

    def choose(self, voice: str, rate: int, pitch: int) -> None:
        """Set the voice, by identifier with `+VARIANT` where there is one, its words a minute, and its pitch, 0 to 100.

        Raises `LookupError`.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise LookupError(voice)
        self._library.espeak_SetParameter(_RATE, rate, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)

    def speak(self, text: str, take: Callable[[bytes], bool], *, ssml: bool, pause: bool) -> None:
        """Give samples to `take` as they come, 16 bits each, until it answers False; `pause`: one ends them."""

        def called(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
            if not samples or count <= 0:
                return 0
            return 0 if take(ctypes.string_at(samples, 2 * count)) else 1

        self._callback = _Callback(called)
        self._library.espeak_SetSynthCallback(self._callback)
        content = text.encode() + b"\0"
        flags = _UTF8 | (_SSML if ssml else 0) | (_END_PAUSE if pause else 0)
        self._library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 0, 0, flags, None, None)

    def phonemes(self, text: str) -> str:
        """Return the sounds of a text in IPA, one line for each clause."""
        content = ctypes.create_string_buffer(text.encode())
        rest = ctypes.c_void_p(ctypes.addressof(content))
        lines = []
        while rest.value:
            lines.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA).decode())
        return "\n".join(lines)


_REMEDY = "Install it: pip install 'minitoolai[espeak]', or the system's package of libespeak-ng (Debian: libespeak-ng1)."


def _found() -> tuple[ctypes.CDLL, bytes | None]:
    """Return the library, and where its data are; None: it knows. Raises `BootError`."""
    try:
        import espeakng_loader
    except ImportError:
        path, data = ctypes.util.find_library("espeak-ng"), None
    else:
        path, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path().encode()
    if path is None:
        raise BootError("engine_missing", f"espeak-ng is not installed. {_REMEDY}")
    try:
        return ctypes.CDLL(path), data
    except OSError as error:
        raise BootError("engine_missing", f"espeak-ng cannot be loaded ({error}). {_REMEDY}") from error


def _languages(address: int) -> Iterator[tuple[str, int]]:
    """Read the list of a voice's languages: a byte of priority and a text each, ended by a zero byte."""
    while priority := ctypes.c_ubyte.from_address(address).value:
        name = ctypes.string_at(address + 1)
        yield name.decode().lower(), priority
        address += len(name) + 2
