"""Speech by Piper's voices, in the process of the test; the voices are tiny, the package is the true one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minitoolai.children.piper.folder import Speaker, read
from minitoolai.children.piper.synthesis import Piper, start
from minitoolai.children.report import BootError
from minitoolai.children.speech.sessions import Threads
from minitoolai.children.speech.spelling import Speller
from minitoolai.children.speech.synthesis import Refused, SpeakingFailed
from minitoolai.core.speech import SpeechRequest
from tests.support import tiny_piper
from tests.support.spellers import PIPER, running_speller

ONE = Threads(1, 1)


@pytest.fixture(scope="module")
def speller() -> Iterator[Speller]:
    """One for all."""
    with running_speller(PIPER) as started:
        yield started


def speakers(path: Path) -> list[Speaker]:
    """Return the voices at a path."""
    return read(path, lambda _line: None)


@pytest.fixture(scope="module")
def engine(speller: Speller, tmp_path_factory: pytest.TempPathFactory) -> Piper:
    """An engine with voices of four languages."""
    folder = tmp_path_factory.mktemp("voices")
    for name, count in (
        ("en_US-ryan-high", 1),
        ("en_US-lessac-medium", 1),
        ("pl_PL-gosia-medium", 1),
        ("en_GB-vctk-low", 3),
    ):
        tiny_piper.make(folder, name, count)
    tiny_piper.make(folder, "ar_JO-kareem-low")
    tiny_piper.make(folder, "zh_CN-huayan-medium")
    return start(speakers(folder), speller, "en-US", ONE, 2, pytest.fail)


def spoken(engine: Piper, request: SpeechRequest) -> tuple[str, bytes]:
    """Return the voice of a call and all its samples."""
    plan = engine.plan(request)
    heard: list[bytes] = []
    for piece in plan.pieces:
        engine.say(request, plan, piece, heard.append)
    return plan.voice, b"".join(heard)


def test_texts_of_many_languages(engine: Piper) -> None:
    """The voice is that of the text's language, and there is sound for every word: as much as there are sounds."""
    for text, voice in (
        ("Hello there, how are you?", "en_US-ryan-high"), ("Cześć, jak się masz?", "pl_PL-gosia-medium"),
        ("你好，世界。", "zh_CN-huayan-medium"), ("مرحبا بالعالم", "ar_JO-kareem-low"),
    ):  # fmt: skip
        chosen, sound = spoken(engine, SpeechRequest(text))
        assert chosen == voice
        assert len(sound) // 2 >= len(text) * tiny_piper.SOUND_SAMPLES
        assert np.abs(np.frombuffer(sound, "<i2")).max() == 32767


def test_sentence_by_sentence(engine: Piper) -> None:
    """A plan has a piece for each sentence, and the engine's samples a second."""
    plan = engine.plan(SpeechRequest("One. Two. Three."))
    assert [piece.text for piece in plan.pieces] == ["One.", "Two.", "Three."]
    assert plan.rate == tiny_piper.RATE


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
def test_speed(engine: Piper, speed: float) -> None:
    """At so many times the speed the sound is so much shorter."""
    _, usual = spoken(engine, SpeechRequest("Hello there"))
    _, made = spoken(engine, SpeechRequest("Hello there", speed=speed))
    assert len(made) * speed == pytest.approx(len(usual), rel=0.01)


def test_speakers_sound_different(engine: Piper) -> None:
    """Each speaker of a file is another voice."""
    sounds = [spoken(engine, SpeechRequest("Hello", voice=f"en_GB-vctk-low#p{number}"))[1] for number in range(3)]
    assert len(set(sounds)) == 3


def test_what_is_refused(engine: Piper) -> None:
    """What no voice does is refused before any sound."""
    for request in (SpeechRequest("x", voice="nobody"), SpeechRequest("x", pitch=1.5), SpeechRequest("x", ssml=True)):
        with pytest.raises(Refused):
            engine.plan(request)


@pytest.mark.parametrize(
    "text", ["[[ abc ]] hello", "]]", "[[", "😀 ... !!!", " ", "\x00\x07", "\ud83d", "a." * 400, "ب" * 500]
)
def test_texts_of_all_kinds(engine: Piper, text: str) -> None:
    """What is not for the ears is passed over, and brackets are no way to the phonemes."""
    plain = spoken(engine, SpeechRequest(text, voice="en_US-ryan-high"))[1]
    assert len(plain) % 2 == 0
    if "hello" in text:
        spelt = spoken(engine, SpeechRequest("abc hello", voice="en_US-ryan-high"))[1]
        assert len(plain) >= len(spelt)


def test_what_emit_raises_ends_it(engine: Piper) -> None:
    """Whoever listens may end a piece."""
    request = SpeechRequest("Hello there.")
    plan = engine.plan(request)

    def leave(_samples: bytes) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        engine.say(request, plan, plan.pieces[0], leave)


def test_a_voice_that_cannot_speak_is_left_out(speller: Speller, tmp_path: Path) -> None:
    """What is found when the first voice is tried out: it is left out, and the next best speaks."""
    spoilt = tiny_piper.make(tmp_path, "en_US-ryan-high")
    spoilt.write_bytes(spoilt.read_bytes().replace(b"Tanh", b"Tank"))
    tiny_piper.make(tmp_path, "en_US-lessac-medium")
    lines: list[str] = []
    engine = start(speakers(tmp_path), speller, "en", ONE, 4, lines.append)
    assert [voice.id for voice in engine.voices()] == ["en_US-lessac-medium"]
    assert len(lines) == 1
    assert "en_US-ryan-high.onnx cannot speak" in lines[0]


def test_no_voice_that_can_speak(speller: Speller, tmp_path: Path) -> None:
    """Where none is left, the start fails with the file's name."""
    path = tiny_piper.make(tmp_path, output=float("nan"))
    with pytest.raises(BootError, match=r"en_US-tiny-medium.onnx cannot speak .* minitoolai models pull") as error:
        start(speakers(path), speller, "en", ONE, 4, pytest.fail)
    assert error.value.code == "model_invalid"


def test_too_little_memory(speller: Speller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without room for a voice is told from a broken voice."""

    def fail(_engine: Piper, _name: str) -> None:
        raise SpeakingFailed("out_of_memory", "no room")

    monkeypatch.setattr(Piper, "try_out", fail)
    with pytest.raises(BootError, match="too little memory for the voice en_US-tiny-medium") as error:
        start(speakers(tiny_piper.make(tmp_path)), speller, "en", ONE, 4, pytest.fail)
    assert error.value.code == "out_of_memory"
