"""The voices of children that speak: asked of the child, and remembered for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.child_wire import frame
from minitoolai.core.errors import NoEngine, UpstreamError
from minitoolai.core.speech import SpeechRequest, Voice
from minitoolai.core.speech_wire import Kind, VoicesOrder, voices_frame
from minitoolai.engines import child_speech
from minitoolai.engines.child_speech import ChildSpeech
from tests.support.llama_child import short_folder
from tests.support.speaking_child import VOICES, Tones, speaking_room
from tests.support.told_child import Answer, saying, told_child

MODEL = SpeechModel("m", 1, engine="s")
REQUEST = SpeechRequest("One two. Three.")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


def engine(folder: Path) -> ChildSpeech:
    """An engine whose child listens in `folder`."""
    return ChildSpeech("s", str(folder / "s.sock"), parallel=2, total_s=99.0)


async def test_voices_of_a_real_server() -> None:
    """And whether it is there."""
    with speaking_room(Tones()) as room:
        speaker = ChildSpeech("s", room.path, parallel=3, total_s=7.0)
        assert await speaker.is_there()
        assert await speaker.voices(MODEL) == VOICES
    assert (speaker.name, speaker.parallel, speaker.total_s) == ("s", 3, 7.0)
    speaker.check(MODEL, SpeechRequest("", voice="nobody"))


async def test_voices_are_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while, and until the child dies or breaks off: in its next life it may have others."""
    lists = [[Voice(f"voice {number}", "", "pl")] for number in range(5)]
    said = iter(lists)

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(voices_frame(next(said)))

    speaker = engine(folder)
    async with told_child(folder, answer) as orders:
        for _ in range(3):
            assert await speaker.voices(MODEL) == lists[0]
        assert orders == [VoicesOrder()]
    with pytest.raises(NoEngine):
        await speaker.open(MODEL, REQUEST)
    async with told_child(folder, answer):
        assert await speaker.voices(MODEL) == lists[1]
    async with told_child(folder, saying()):
        with pytest.raises(UpstreamError):
            await speaker.open(MODEL, REQUEST)
    async with told_child(folder, answer):
        assert await speaker.voices(MODEL) == lists[2]
        monkeypatch.setattr(child_speech, "KEEP_VOICES_S", 0.0)
        assert await engine(folder).voices(MODEL) == lists[3]
        monkeypatch.setattr(speaker, "_voices_until", 0.0)
        assert await speaker.voices(MODEL) == lists[4]


@pytest.mark.parametrize(
    "answer", [saying(), saying(frame(Kind.END)), saying(frame(Kind.VOICES, b"{")), saying(frame(Kind.FAILED, b"word"))]
)
async def test_voices_that_cannot_be_had(folder: Path, answer: Answer) -> None:
    """The call may be repeated."""
    async with told_child(folder, answer):
        with pytest.raises(UpstreamError):
            await engine(folder).voices(MODEL)


async def test_voices_of_nobody(folder: Path) -> None:
    """While no child is there, the call may be repeated soon."""
    with pytest.raises(NoEngine):
        await engine(folder).voices(MODEL)


async def test_a_silent_child_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for voices waits for seconds, not for minutes."""
    monkeypatch.setattr(child_speech, "VOICES_S", 0.05)
    async with told_child(folder, saying(then_silent=True)):
        with pytest.raises(UpstreamError):
            await engine(folder).voices(MODEL)
