"""The child that speaks with Piper's voices as a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minitoolai.core.child_wire import order_bytes
from minitoolai.core.speech import FORMATS, AudioFormat, SpeechRequest
from minitoolai.core.speech_wire import Kind, SpeechOrder, VoicesOrder, characters_of, refusal_of, voices_of
from tests.support import tiny_piper
from tests.support.child_process import PATIENCE_S, ChildProcess, assert_ends_with_its_parent
from tests.support.llama_child import short_folder
from tests.support.speaking_child import frames_of, heard, sound_of

MODULE = "minitoolai.children.piper"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


@contextmanager
def child(folder: Path, model: Path, **boot: Any) -> Iterator[ChildProcess]:
    """A child, ended afterwards."""
    document = {"model_path": str(model), "socket": str(folder / "p.sock"), "threads": 1, **boot}
    started = ChildProcess(MODULE, document, folder / "p.sock", folder / "stderr")
    try:
        yield started
    finally:
        started.end()


@pytest.fixture(scope="module")
def speaking() -> Iterator[ChildProcess]:
    """One child with two voices for all tests that only ask."""
    with short_folder() as path:
        tiny_piper.make(path / "voices", "en_US-lessac-medium")
        tiny_piper.make(path / "voices", "pl_PL-gosia-medium")
        with child(path, path / "voices") as started:
            assert started.started()["event"] == "ready"
            yield started


def asked(child: ChildProcess, text: str, **fields: Any) -> list[tuple[Kind, bytes]]:
    """Return all frames that a text brings."""
    return frames_of(child.open(order_bytes(SpeechOrder(SpeechRequest(text, **fields)))))


def test_its_first_word(folder: Path) -> None:
    """`ready` says what there is, and standard error which files are no voices."""
    tiny_piper.make(folder / "voices", "en_GB-vctk-medium", 3)
    (folder / "voices" / "bad.onnx").write_bytes(b"")
    with child(folder, folder / "voices", language="en-GB", loaded=1) as started:
        ready = started.started()
        assert (ready["event"], ready["voices"], ready["threads"]) == ("ready", 3, 1)
        assert "minitoolai.children.piper: a voice is left out:" in (folder / "stderr").read_text()


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format(speaking: ChildProcess, file_format: AudioFormat) -> None:
    """The sound file has the length of the speech, in each format."""
    lossless = heard(sound_of(asked(speaking, "Hello there. World!", format="wav")), "wav")
    frames = asked(speaking, "Hello there. World!", format=file_format)
    assert [characters_of(content) for kind, content in frames if kind is Kind.SPOKEN] == [13, 19, 19]
    assert frames[-1] == (Kind.END, b"")
    assert heard(sound_of(frames), file_format).seconds == pytest.approx(lossless.seconds, abs=0.2)
    assert lossless.seconds > 1


def test_voices(speaking: ChildProcess) -> None:
    """What the child has, when it is asked."""
    ((kind, content),) = frames_of(speaking.open(order_bytes(VoicesOrder())))
    assert kind is Kind.VOICES
    assert {voice.id for voice in voices_of(content)} == {"en_US-lessac-medium", "pl_PL-gosia-medium"}


def test_refused(speaking: ChildProcess) -> None:
    """A voice that there is not is refused before any sound."""
    ((kind, content),) = asked(speaking, "Hello", voice="pl_PL-gosa-medium")
    assert kind is Kind.REFUSED
    assert refusal_of(content).field == "voice"
    assert "Did you mean 'pl_PL-gosia-medium'" in refusal_of(content).why


@pytest.mark.parametrize("text", ["a." * 2000, "s'" * 2000, "😀" * 500, "\u202eمرحبا\u200f " * 50, "\x00\x1b", "[[" * 500])
def test_texts_that_hurt(speaking: ChildProcess, text: str) -> None:
    """Texts that crash espeak-ng where nothing is between are spoken, and the child lives on."""
    assert asked(speaking, text, format="pcm")[-1][0] is Kind.END
    assert asked(speaking, "Hello", format="pcm")[-1][0] is Kind.END


@pytest.mark.parametrize(
    ("boot", "code"),
    [({"model_path": "/nowhere"}, "model_missing"), ({"loaded": 0}, "boot_invalid"), ({"threads": "two"}, "boot_invalid")],
)
def test_a_start_that_fails(folder: Path, boot: dict[str, Any], code: str) -> None:
    """What cannot start says why, and ends with status 1."""
    with child(folder, tiny_piper.make(folder), **boot) as started:
        event = started.started()
        assert (event["event"], event["code"]) == ("failed", code)
        assert started.process.wait(PATIENCE_S) == 1


def test_it_ends_with_its_parent(folder: Path) -> None:
    """A child whose parent is killed ends by itself."""
    model = tiny_piper.make(folder)
    assert_ends_with_its_parent(
        MODULE, {"model_path": str(model), "socket": str(folder / "p.sock"), "threads": 1}, PATIENCE_S
    )
