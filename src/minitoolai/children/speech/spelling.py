"""Has the speller turn texts into sounds: starts it, and another where it was killed."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import sys
import threading

import msgspec

from minitoolai.children.espeak.cleaning import cleaned, plainest
from minitoolai.children.report import BootError
from minitoolai.children.speech.long_words import with_short_words
from minitoolai.children.speech.speller import MAX_MESSAGE_BYTES, Sounds, Spelling
from minitoolai.children.speech.synthesis import SpeakingFailed
from minitoolai.core.child_wire import LENGTH

#: Seconds for the speller to load its library, and to answer: more than the processor time that it gives a text.
START_S, ANSWER_S = 60.0, 30.0

#: All but words and numbers: the last that is tried.
_NO_WORD = re.compile(r"[^\w\s]|_")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Sounds).decode


class Speller:
    """The process that turns texts into sounds. Its methods are for any thread; one at a time is served."""

    def __init__(self, module: str) -> None:
        """Start it; `module` runs `speller.serve`. Raises `BootError` (`engine_missing`)."""
        self._module = module
        self._lock = threading.Lock()
        self._process, self._control = _started(module)

    def sounds(self, text: str, language: str, clusters: tuple[tuple[str, ...], ...] = ()) -> Sounds:
        """Return the sounds of each sentence of a text; see `Spelling`. Raises `SpeakingFailed` (`engine_crashed`).

        A text that the library does not survive is tried again in plainer form, at last without its punctuation.
        """
        for attempt in dict.fromkeys((cleaned(text), plainest(text), cleaned(_NO_WORD.sub(" ", text)))):
            if not attempt:
                return []
            order = _encode(Spelling(with_short_words(attempt), language, clusters))
            with self._lock:
                if self._process.poll() is not None:
                    self._again()  # it was killed since the last text, which is no fault of this one
                reply = self._asked(order)
            if reply:
                return _decode(reply)
        raise SpeakingFailed("engine_crashed", "the phonemizer did not survive a text")

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._end()

    def _asked(self, order: bytes) -> bytes:
        """Return what the speller answers, b"" where it did not survive; then there is a new one."""
        try:
            self._control.sendall(LENGTH.pack(len(order)) + order)
            return _message(self._control)
        except (OSError, struct.error):
            self._again()
            return b""

    def _again(self) -> None:
        """Start another. Raises `SpeakingFailed`."""
        self._end()
        try:
            self._process, self._control = _started(self._module)
        except BootError as error:
            raise SpeakingFailed("engine_crashed", str(error)) from error

    def _end(self) -> None:
        self._control.close()
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()


def _message(control: socket.socket) -> bytes:
    """Return the next message. Raises `OSError`, `struct.error`."""
    with control.makefile("rb") as stream:
        (length,) = LENGTH.unpack(stream.read(LENGTH.size))
        content = stream.read(min(length, MAX_MESSAGE_BYTES))
    if len(content) < length:
        raise ConnectionResetError
    return content


def _started(module: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a speller; return it and its socket. Raises `BootError`."""
    control, theirs = socket.socketpair()
    control.settimeout(START_S)
    with theirs:
        process = subprocess.Popen([sys.executable, "-m", module], stdin=theirs.fileno(), stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        _message(control)
    except (OSError, struct.error) as error:
        control.close()
        process.kill()
        process.wait()
        why = "The process that turns texts into sounds did not start. What it said is in the log."
        raise BootError("engine_missing", why) from error
    control.settimeout(ANSWER_S)
    return process, control
