"""Speech by Kokoro's model, in the process of the test; the model is tiny, the package is the true one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from minitoolai.children.kokoro import synthesis
from minitoolai.children.kokoro.folder import read
from minitoolai.children.kokoro.synthesis import KokoroVoices, start
from minitoolai.children.report import BootError
from minitoolai.children.speech.sessions import Threads
from minitoolai.children.speech.spelling import Speller
from minitoolai.children.speech.synthesis import Refused, SpeakingFailed
from minitoolai.core.speech import SpeechRequest
from tests.support import tiny_kokoro, tiny_piper
from tests.support.spellers import KOKORO, running_speller

ONE = Threads(1, 1)


@pytest.fixture(scope="module")
def speller() -> Iterator[Speller]:
    """One for all."""
    with running_speller(KOKORO) as started:
        yield started


def nothing(line: str) -> None:
    """Be told of the voices that are left out, and of nothing else."""
    assert line == "voices whose language is not spoken here are left out: jf_alpha, zf_xiaobei"


@pytest.fixture(scope="module")
def engine(speller: Speller, tmp_path_factory: pytest.TempPathFactory) -> KokoroVoices:
    """An engine with voices of four languages."""
    return start(read(tiny_kokoro.make(tmp_path_factory.mktemp("kokoro"))), speller, "en-US", ONE, nothing)


def spoken(engine: KokoroVoices, request: SpeechRequest) -> tuple[str, bytes]:
    """Return the voice of a call and all its samples."""
    plan = engine.plan(request)
    assert plan.rate == tiny_kokoro.RATE
    heard: list[bytes] = []
    for piece in plan.pieces:
        engine.say(request, plan, piece, heard.append)
    return plan.voice, b"".join(heard)


@pytest.mark.parametrize(
    ("text", "fields", "voice"),
    [
        ("Hello there", {}, "af_heart"), ("Hello there", {"voice": "alloy"}, "af_alloy"),
        ("Hello", {"voice": "fable"}, "bm_fable"), ("Hello", {"voice": "onyx"}, "am_onyx"),
        ("Hello", {"language": "en-GB"}, "bf_emma"), ("Hola, ¿qué tal?", {}, "ef_dora"),
        ("Bonjour, comment ça va ?", {}, "ff_siwis"), ("Hello", {"voice": "BM_Fable"}, "bm_fable"),
        ("Hello", {"language": "fr", "voice": "nova"}, "ff_siwis"),
    ],
)  # fmt: skip
def test_voices(engine: KokoroVoices, text: str, fields: dict[str, Any], voice: str) -> None:
    """The voice is the one that is named, or speaks the language; there is sound."""
    chosen, sound = spoken(engine, SpeechRequest(text, **fields))
    assert chosen == voice
    assert np.abs(np.frombuffer(sound, "<i2")).max() > 1000


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.5, 2.0, 3.0, 4.0])
def test_speed(engine: KokoroVoices, speed: float) -> None:
    """At so many times the speed the sound is so much shorter, also beyond what the model can."""
    _, usual = spoken(engine, SpeechRequest("Hello there, my friend"))
    _, made = spoken(engine, SpeechRequest("Hello there, my friend", speed=speed))
    assert len(made) * speed == pytest.approx(len(usual), rel=0.05)


def test_pauses_between_sentences(engine: KokoroVoices) -> None:
    """What the model makes at its ends is cut off, so silence is put between: after a clause less than after a sentence."""
    request = SpeechRequest("Hello. " * 2)
    plan = engine.plan(request)
    lengths = []
    for piece in plan.pieces:
        heard: list[bytes] = []
        engine.say(request, plan, piece, heard.append)
        lengths.append(sum(map(len, heard)) // 2)
    assert (lengths[0] - lengths[1]) / tiny_kokoro.RATE == pytest.approx(0.25)
    long = SpeechRequest("hello there and all of you, " * 5)
    plan = engine.plan(long)
    heard = []
    engine.say(long, plan, plan.pieces[0], heard.append)
    assert plan.pieces[0].text.endswith(",")
    assert not any(heard[0][-2 * 2400 :])
    assert any(heard[0][-2 * 4800 :])


def test_more_sounds_than_the_model_takes(engine: KokoroVoices) -> None:
    """A piece of more than 510 sounds is spoken in parts, and none of it is lost."""
    text = "9" * 300
    _, sound = spoken(engine, SpeechRequest(text))
    sounds = engine._sounds(text, "en-us")
    assert len(sounds) > 2 * tiny_kokoro.MOST_SOUNDS
    assert len(sound) // 2 >= len(sounds) * tiny_kokoro.SOUND_SAMPLES


@pytest.mark.parametrize("text", ["... !!!", " ", "\x00", "\ud83d", "—"])
def test_texts_without_a_sound(engine: KokoroVoices, text: str) -> None:
    """What says nothing makes no sound, and no failure."""
    assert spoken(engine, SpeechRequest(text, voice="af_heart"))[1] == b""


@pytest.mark.parametrize("text", ["😀", "a." * 400, "s'" * 300, "[[x]] (en)", "Hello\nthere\n\nyou"])
def test_texts_of_all_kinds(engine: KokoroVoices, text: str) -> None:
    """Other texts do."""
    assert spoken(engine, SpeechRequest(text, voice="af_heart"))[1]


def test_words_of_other_languages_are_spoken_without_flags(engine: KokoroVoices) -> None:
    """The mark that a word is English is not spoken."""
    assert engine._sounds("New York", "fr-fr") == "njˈuː jˈɔːk"


def test_what_is_refused(engine: KokoroVoices) -> None:
    """Voices that would sound wrong, and what no voice does, are refused before any sound."""
    with pytest.raises(Refused, match="'jf_alpha' speaks Japanese"):
        engine.plan(SpeechRequest("x", voice="jf_alpha"))
    for fields in ({"voice": "nobody"}, {"language": "zh"}, {"pitch": 1.5}, {"ssml": True}):
        with pytest.raises(Refused):
            engine.plan(SpeechRequest("x", **fields))


def test_a_vocabulary_of_its_own(speller: Speller, tmp_path: Path) -> None:
    """Sounds that are not in a model's own list are not spoken."""
    folder = tiny_kokoro.make(tmp_path, ("af_heart",))
    (folder / "config.json").write_text('{"vocab": {"m": 1, "ɑ": 2, "h": 3}}')
    made = start(read(folder), speller, "en", ONE, pytest.fail)
    assert made._sounds("hello mama", "en-us") == "hmɑm"


def test_a_newer_export(speller: Speller, tmp_path: Path) -> None:
    """The network's first input has two names."""
    made = start(read(tiny_kokoro.make(tmp_path, ("af_heart",), tokens="input_ids")), speller, "en", ONE, pytest.fail)
    assert spoken(made, SpeechRequest("Hello"))[1]


def other_network(folder: Path) -> None:
    """Put a voice of Piper's in the model's place."""
    onnx.save(tiny_piper.network(), folder / "kokoro-v1.0.onnx")


def wrong_styles(folder: Path) -> None:
    """Give the voices another shape."""
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, af_heart=np.zeros((510, 256), np.float32))


def pickled(folder: Path) -> None:
    """Put what only unpickling could read in the voices' place."""
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, af_heart=np.array([{}], object))


def one_array(folder: Path) -> None:
    """Put a single array in the voices' place."""
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.save(file, np.zeros((510, 1, 256), np.float32))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / "voices-v1.0.bin").write_bytes(b"<html>"), "no npz of Kokoro's voices"),
        (lambda folder: (folder / "voices-v1.0.bin").write_bytes(b""), "no npz"),
        (lambda folder: (folder / "voices-v1.0.bin").write_bytes((folder / "voices-v1.0.bin").read_bytes()[:-9]), "no npz"),
        (one_array, "it is one array"), (pickled, "no npz"), (wrong_styles, r"'af_heart' in .* has the shape \(510, 256\)"),
        (lambda folder: tiny_kokoro.make(folder, ("zf_xiaobei", "nobody")), "no voice of a language that is spoken here"),
        (lambda folder: (folder / "kokoro-v1.0.onnx").write_bytes(b"<html>"), "cannot be loaded"),
        (lambda folder: tiny_kokoro.make(folder, output=float("nan")), "cannot speak: .* no sound"),
        (other_network, "takes input, input_lengths, scales, where Kokoro takes tokens, style, speed"),
        (lambda folder: (folder / "config.json").write_text("{}"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text('{"vocab": []}'), "vocab in its config.json is no table"),
    ],
)  # fmt: skip
def test_a_damaged_folder(speller: Speller, tmp_path: Path, spoil: Callable[[Path], object], why: str) -> None:
    """What cannot speak fails the start, with the file's name and the remedy."""
    folder = tiny_kokoro.make(tmp_path)
    spoil(folder)
    with pytest.raises(BootError, match=rf"{why}.*minitoolai models pull kokoro\.") as error:
        start(read(folder), speller, "en", ONE, lambda _line: None)
    assert error.value.code == "model_invalid"


def test_too_little_memory(speller: Speller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without room for the model is told from a broken model."""
    folder = read(tiny_kokoro.make(tmp_path, ("af_heart",)))
    for name, target, error in (
        ("open_session", synthesis, MemoryError()),
        ("try_out", KokoroVoices, SpeakingFailed("out_of_memory", "no room")),
    ):

        def fail(*_arguments: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(target, name, fail)
            with pytest.raises(BootError, match="too little memory") as failed:
                start(folder, speller, "en", ONE, pytest.fail)
            assert failed.value.code == "out_of_memory"


def test_a_model_that_is_mute(speller: Speller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that makes nothing of a syllable never says that it is ready."""
    monkeypatch.setattr(Speller, "sounds", lambda *_arguments: [])
    with pytest.raises(BootError, match="cannot speak: it makes no sound"):
        start(read(tiny_kokoro.make(tmp_path, ("af_heart",))), speller, "en", ONE, pytest.fail)
