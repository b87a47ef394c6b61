"""The child that speaks with Kokoro's model as a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minitoolai.core.child_wire import order_bytes
from minitoolai.core.speech import FORMATS, AudioFormat, SpeechRequest
from minitoolai.core.speech_wire import Kind, SpeechOrder, VoicesOrder, characters_of, voices_of
from tests.support import tiny_kokoro
from tests.support.child_process import PATIENCE_S, ChildProcess, assert_ends_with_its_parent
from tests.support.llama_child import short_folder
from tests.support.speaking_child import frames_of, heard, sound_of

MODULE = "minitoolai.children.kokoro"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


@contextmanager
def child(folder: Path, model: Path, **boot: Any) -> Iterator[ChildProcess]:
    """A child, ended afterwards."""
    document = {"model_path": str(model), "socket": str(folder / "k.sock"), "threads": 1, **boot}
    started = ChildProcess(MODULE, document, folder / "k.sock", folder / "stderr")
    try:
        yield started
    finally:
        started.end()


@pytest.fixture(scope="module")
def speaking() -> Iterator[ChildProcess]:
    """One child for all tests that only ask."""
    with short_folder() as path, child(path, tiny_kokoro.make(path / "kokoro"), language="en-US") as started:
        ready = started.started()
        assert (ready["event"], ready["voices"], ready["threads"]) == ("ready", 7, 1)
        yield started


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format(speaking: ChildProcess, file_format: AudioFormat) -> None:
    """The sound file has the length of the speech, in each format."""

    def asked(wanted: AudioFormat) -> list[tuple[Kind, bytes]]:
        return frames_of(speaking.open(order_bytes(SpeechOrder(SpeechRequest("Hello there. World!", format=wanted)))))

    lossless = heard(sound_of(asked("wav")), "wav")
    frames = asked(file_format)
    assert [characters_of(content) for kind, content in frames if kind is Kind.SPOKEN] == [13, 19, 19]
    assert frames[-1] == (Kind.END, b"")
    assert heard(sound_of(frames), file_format).seconds == pytest.approx(lossless.seconds, abs=0.2)
    assert lossless.seconds > 1


def test_voices(speaking: ChildProcess) -> None:
    """What the child has, when it is asked: none that would sound wrong."""
    ((kind, content),) = frames_of(speaking.open(order_bytes(VoicesOrder())))
    assert kind is Kind.VOICES
    assert {voice.id[0] for voice in voices_of(content)} == {"a", "b", "e", "f"}


@pytest.mark.parametrize(("boot", "code"), [({"model_path": "/nowhere"}, "model_missing"), ({"threads": 0}, "boot_invalid")])
def test_a_start_that_fails(folder: Path, boot: dict[str, Any], code: str) -> None:
    """What cannot start says why, and ends with status 1."""
    with child(folder, folder, **boot) as started:
        event = started.started()
        assert (event["event"], event["code"]) == ("failed", code)
        assert started.process.wait(PATIENCE_S) == 1


def test_it_ends_with_its_parent(folder: Path) -> None:
    """A child whose parent is killed ends by itself."""
    model = tiny_kokoro.make(folder / "kokoro")
    assert_ends_with_its_parent(
        MODULE, {"model_path": str(model), "socket": str(folder / "k.sock"), "threads": 1}, PATIENCE_S
    )
