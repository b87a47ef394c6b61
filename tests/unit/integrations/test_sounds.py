"""Sounds measured by the real child, and what each failure is told as."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.core.errors import ServiceUnavailable
from minitoolai.core.transcription import MAX_SOUND_BYTES
from minitoolai.core.transcription_errors import InvalidAudio
from minitoolai.integrations.sounds import AT_ONCE, MeasuredSounds
from tests.support.llama_child import short_folder
from tests.support.sounds import flac_bomb, sound, wav
from tests.support.sounds_child import SoundsChild, sounds_child


@pytest.fixture(scope="module")
def child() -> Iterator[SoundsChild]:
    """The child that measures."""
    with short_folder() as folder, sounds_child(folder) as started:
        assert started.started()["event"] == "ready"
        yield started


@pytest.fixture
def sounds(child: SoundsChild) -> MeasuredSounds:
    """What is tested."""
    return MeasuredSounds(str(child.socket))


async def test_sounds_are_measured(sounds: MeasuredSounds) -> None:
    """The shortest and the largest; more at once than the child takes."""
    assert await sounds.milliseconds(sound("wav", 1.5)) == 1500
    assert await sounds.milliseconds(wav(bytes(MAX_SOUND_BYTES - 44))) == -(-(MAX_SOUND_BYTES - 44) // 8)
    many = [sounds.milliseconds(sound("flac", seconds / 10)) for seconds in range(1, 3 * AT_ONCE)]
    assert await asyncio.gather(*many) == [seconds * 100 for seconds in range(1, 3 * AT_ONCE)]


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"nonsense", "damaged"), (wav(b""), "no sound in it"), (sound("mp4")[:900], "damaged"), (flac_bomb(), "24 hours")],
    ids=["nonsense", "empty", "cut", "days"],
)
async def test_what_is_refused(sounds: MeasuredSounds, data: bytes, why: str) -> None:
    """400 for the caller, with the field and what to send."""
    with pytest.raises(InvalidAudio, match=why) as caught:
        await sounds.milliseconds(data)
    assert (caught.value.param, caught.value.code) == ("file", "invalid_value")
    assert "flac, m4a, mp3" in caught.value.message


async def test_no_child(tmp_path: Path) -> None:
    """While the child is away, calls may be repeated."""
    with pytest.raises(ServiceUnavailable) as caught:
        await MeasuredSounds(str(tmp_path / "nobody")).milliseconds(sound())
    assert caught.value.retry_after_s == 2


async def test_a_child_that_dies() -> None:
    """Killed in the middle of a sound, it costs the calls that it was working for, and they may be repeated."""
    with short_folder() as folder, sounds_child(folder) as doomed:
        doomed.started()
        waiting = asyncio.create_task(MeasuredSounds(str(doomed.socket)).milliseconds(flac_bomb()))
        while not await asyncio.to_thread(doomed.forks):
            await asyncio.sleep(0.01)
        doomed.end()
        with pytest.raises(ServiceUnavailable):
            await waiting
