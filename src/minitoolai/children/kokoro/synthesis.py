"""Speaks with Kokoro's model: each piece's sounds at one go, or in parts where they are more than the model takes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from kokoro_onnx import Kokoro
from kokoro_onnx.config import SAMPLE_RATE
from numpy.typing import NDArray

from minitoolai.children.kokoro.folder import LANGUAGES, LEFT_OUT, TWINS, Folder, voices_of
from minitoolai.children.report import BootError
from minitoolai.children.speech.neural import check_plain, pieces_of
from minitoolai.children.speech.sessions import (
    ERRORS,
    Threads,
    failures,
    first_line,
    is_out_of_memory,
    open_session,
    samples,
)
from minitoolai.children.speech.spelling import Speller
from minitoolai.children.speech.synthesis import Emit, Piece, Plan, Refused, SpeakingFailed
from minitoolai.children.speech.tempo import at_tempo
from minitoolai.children.speech.voices import Voices
from minitoolai.core.speech import SpeechRequest, Voice

Style = NDArray[np.float32]

#: Numbers of a style, and what a voice's array ends with: one style for each number of sounds.
STYLE_SHAPE = (1, 256)
#: Names of the network's inputs; the first has two.
_TOKENS, _OTHERS = ({"tokens"}, {"input_ids"}), {"style", "speed"}
#: How fast the model speaks by itself; beyond, what it said is made faster or slower.
MIN_OWN_SPEED, MAX_OWN_SPEED = 0.5, 2.0
#: Seconds of silence after a piece that ends a sentence, and after one that ends amid it: what the model makes at its ends
#: is cut off. As kokoro-onnx has them between its own parts.
SENTENCE_PAUSE_S, CLAUSE_PAUSE_S = 0.25, 0.1
_CLAUSE_MARKS = tuple(",;:،؛、，；：–—")
#: What numpy raises for a file that is no npz.
_UNREADABLE: tuple[type[Exception], ...] = (*ERRORS, EOFError, zipfile.BadZipFile)
_TRIAL = "ma"
_REMEDY = "Get both files anew: minitoolai models pull kokoro."


class KokoroVoices:
    """The engine; see `Synthesizer`."""

    def __init__(self, model: Kokoro, styles: Mapping[str, Style], speller: Speller, language: str, parallel: int) -> None:
        """`styles`: of each voice; `language`: BCP 47, where nothing else tells it."""
        self._model = model
        self._styles = styles
        self._voices = Voices(voices_of(styles), language, TWINS)
        self._speller = speller
        self.parallel = parallel

    def voices(self) -> list[Voice]:
        """Return the voices that there are."""
        return list(self._voices.all)

    def plan(self, request: SpeechRequest) -> Plan:
        """Return how a call is spoken. Raises `Refused`."""
        check_plain(request)
        name = (request.voice or "").casefold()
        if name in self._styles and name[:1] in LEFT_OUT:
            language = LEFT_OUT[name[0]]
            raise Refused(
                "voice",
                f"the voice {name!r} speaks {language}, which espeak-ng's sounds are not good enough for here. "
                "GET /v1/audio/voices lists those that there are.",
            )
        return Plan(self._voices.find(request).id, SAMPLE_RATE, pieces_of(request.text))

    def say(self, request: SpeechRequest, plan: Plan, piece: Piece, emit: Emit) -> None:
        """Speak one piece of a call. Raises `SpeakingFailed`, and what `emit` raises, at once."""
        own_speed = min(max(request.speed, MIN_OWN_SPEED), MAX_OWN_SPEED)
        sounds = self._sounds(piece.text, LANGUAGES[plan.voice[0]][1])
        if not sounds:
            return
        with failures(f"the voice {plan.voice}"):
            sound, _ = self._model.create(sounds, self._styles[plan.voice], own_speed, is_phonemes=True)
            content = at_tempo(samples(np.asarray(sound)), SAMPLE_RATE, request.speed / own_speed)
        if piece.ends_at < len(request.text):
            pause_s = CLAUSE_PAUSE_S if piece.text.endswith(_CLAUSE_MARKS) else SENTENCE_PAUSE_S
            content += bytes(2 * round(pause_s / request.speed * SAMPLE_RATE))
        emit(content)

    def _sounds(self, text: str, language: str) -> str:
        """Return those of a text's sounds that the model knows; "" where there are none but marks."""
        spelt = "".join(sound for sentence in self._speller.sounds(text, language) for sound in sentence)
        known = "".join(sound for sound in spelt if sound in self._model.tokenizer.vocab)
        return known if any(sound.isalpha() for sound in known) else ""

    def try_out(self) -> None:
        """Speak a syllable with the voice that most calls get. Raises `SpeakingFailed`."""
        heard: list[bytes] = []
        request = SpeechRequest(_TRIAL)
        plan = Plan(self._voices.usual.id, SAMPLE_RATE, pieces_of(_TRIAL))
        self.say(request, plan, plan.pieces[0], heard.append)
        if not any(heard):
            raise SpeakingFailed("engine_failed", "it makes no sound")


def start(folder: Folder, speller: Speller, language: str, threads: Threads, log: Callable[[str], None]) -> KokoroVoices:
    """Return the engine, tried out; `log` is told which voices are left out.

    Raises `BootError` (`model_invalid`, `out_of_memory`).
    """
    styles = _styles(folder)
    left_out = sorted(styles.keys() - {voice.id for voice in voices_of(styles)})
    if left_out:
        log(f"voices whose language is not spoken here are left out: {', '.join(left_out)}")
    if len(left_out) == len(styles):
        raise BootError(
            "model_invalid", f"The file {folder.voices} has no voice of a language that is spoken here. {_REMEDY}"
        )
    try:
        session = open_session(folder.model, threads.threads)
        inputs = {each.name for each in session.get_inputs()}
        if inputs not in [tokens | _OTHERS for tokens in _TOKENS]:
            raise _invalid(folder, f"takes {', '.join(sorted(inputs))}, where Kokoro takes tokens, style, speed")
        vocabulary = json.loads(folder.vocabulary.read_bytes()) if folder.vocabulary else None
        if vocabulary is not None and not isinstance(vocabulary["vocab"], dict):
            raise TypeError("vocab in its config.json is no table")
        model = Kokoro.from_session(session, str(folder.voices), vocab_config=vocabulary)
        model.voices.close()  # the styles are ours
        engine = KokoroVoices(model, styles, speller, language, threads.parallel)
        engine.try_out()
    except SpeakingFailed as error:
        if error.code == "out_of_memory":
            raise _no_memory(folder) from error
        raise _invalid(folder, f"cannot speak: {error}") from error
    except ERRORS as error:
        if is_out_of_memory(error):
            raise _no_memory(folder) from error
        raise _invalid(folder, f"cannot be loaded: {first_line(error)}") from error
    return engine


def _styles(folder: Folder) -> dict[str, Style]:
    """Return the array of each voice: one style for each number of sounds. Raises `BootError`."""
    try:
        with folder.voices.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise ValueError("it is one array")
            arrays: dict[str, Any] = {name.casefold(): content[name] for name in content.files}
    except _UNREADABLE as error:
        why = f"The file {folder.voices} is no npz of Kokoro's voices ({first_line(error)}). {_REMEDY}"
        raise BootError("model_invalid", why) from error
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape[1:] != STYLE_SHAPE or not array.shape[0] or array.dtype.kind != "f":
            why = f"has the shape {array.shape}, where (number of sounds, {STYLE_SHAPE[0]}, {STYLE_SHAPE[1]}) is due"
            raise BootError("model_invalid", f"The voice {name!r} in {folder.voices} {why}. {_REMEDY}")
    return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}


def _invalid(folder: Folder, why: str) -> BootError:
    return BootError("model_invalid", f"The file {folder.model} {why}. {_REMEDY}")


def _no_memory(folder: Folder) -> BootError:
    return BootError("out_of_memory", f"The machine has too little memory for {folder.model.name}.")
