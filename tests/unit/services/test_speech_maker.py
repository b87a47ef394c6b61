"""A long text in a worker's hands: spoken into a file, which is kept whole or not at all, and charged to nobody before."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest

from minitoolai.core.catalog import Catalog, PictureModel, Route, SpeechModel
from minitoolai.core.errors import ApiError, EngineRefusedRequest, InvalidValue, NoEngine, UpstreamError
from minitoolai.core.jobs import JobKind, JobState
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.core.speech import AudioFormat, SpeechRequest
from minitoolai.services import speech_maker as module
from minitoolai.services.breaker import State
from minitoolai.services.job_run import ENGINE_FAILED, STORE_FAILED, UNREADABLE, InHand, JobRun
from minitoolai.services.routing import Router
from minitoolai.services.speech_maker import PIECE_BYTES, SpeechMaker
from minitoolai.services.speech_ports import SpeechEngine
from minitoolai.storage.drafts import DraftFolder
from tests.support.blobs import FakeBlobs
from tests.support.queue_fakes import FakeJobQueue
from tests.support.speaking import FakeSpeaker, SpeechStep, Spoken

MODEL = SpeechModel("s", 1_000_000, engine="e", others=(Route("f", "s-at-f"),))
PICTURES = PictureModel("p", 1, engine="e")
ASKED = SpeechRequest("a" * 5000, voice="nova", format="mp3")
SOUND = b"ID3" + bytes(range(256)) * 10
BROKEN = UpstreamError(model="s")


class Room:
    """A queue, a place for files, and engines that speak."""

    def __init__(self, folder: Path, *engines: FakeSpeaker, failures: int = 0) -> None:
        self.queue, self.blobs, self.folder = FakeJobQueue(), FakeBlobs(), folder
        speaking: dict[str, SpeechEngine] = {}
        for engine in engines:
            engine.urgent, speaking[engine.name] = False, engine
        self.router = Router[SpeechModel, SpeechEngine](speaking, dict.fromkeys(speaking, failures), random.Random(1))
        self.drafts = DraftFolder(folder)
        maker = SpeechMaker(Catalog([MODEL, PICTURES]), self.router, self.drafts)
        self.runs = JobRun({JobKind.SPEECH: maker}, self.queue, self.blobs, today=lambda: date(2026, 11, 25))

    async def hand(self, asked: SpeechRequest = ASKED, *, failures: int = 0, model: str = "s") -> InHand:
        """Return a job in hand."""
        self.queue.add(asked=asked, failures=failures, model=model)
        (job,) = await self.queue.claim("e", JobKind.SPEECH, 1)
        return InHand(job)

    async def run(self, asked: SpeechRequest = ASKED, *, failures: int = 0, model: str = "s") -> InHand:
        """Run a job to its end; whatever that is, no draft is left."""
        hand = await self.hand(asked, failures=failures, model=model)
        await self.runs.run(hand)
        assert self.left() == []
        return hand

    def state(self, hand: InHand) -> JobState:
        """How the database sees it."""
        return self.queue.states[hand.job.id]

    def left(self) -> list[Path]:
        """Return the drafts that are there."""
        return [file for file in self.folder.rglob("*") if file.is_file() and not file.name.endswith(".lock")]


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[list[Room]]:
    """The rooms of a test, closed at its end."""
    made: list[Room] = []
    yield made
    for room in made:
        room.drafts.close()


def speaker(*steps: SpeechStep, name: str = "e", says: bool = True) -> FakeSpeaker:
    """Return an engine with a script."""
    return FakeSpeaker(*steps, name=name, says=says)


def room_of(rooms: list[Room], tmp_path: Path, *engines: FakeSpeaker, failures: int = 0) -> Room:
    """Return a room over engines."""
    rooms.append(Room(tmp_path / f"drafts-{len(rooms)}", *engines, failures=failures))
    return rooms[-1]


async def test_it_is_spoken_kept_and_ended(rooms: list[Room], tmp_path: Path) -> None:
    """The file's name has the day, the job, the attempt and the format; nobody waits, so that others go first."""
    engine = speaker(SOUND[:100], SOUND[100:])
    room = room_of(rooms, tmp_path, engine)
    hand = await room.run()
    name = f"speech/2026-11-25/{hand.job.id}-1.mp3"
    assert room.blobs.files == {name: SOUND}
    assert ("put_file", name) in room.blobs.asked
    assert (room.queue.files[hand.job.id].name, room.queue.files[hand.job.id].size_bytes) == (name, len(SOUND))
    assert (room.state(hand), room.queue.engines[hand.job.id]) == (JobState.SUCCEEDED, "e")
    assert [(model.upstream_id, request) for model, request in engine.asked] == [("s", ASKED)]
    assert [reply.closed for reply in engine.replies] == [1]


async def test_memory_never_holds_the_whole(rooms: list[Room], tmp_path: Path) -> None:
    """A sound of many pieces is written as it comes: while it is spoken, what came is in the file but for one piece."""
    piece, seen, engine = bytes(100_000), list[int](), speaker()
    room = room_of(rooms, tmp_path, engine)

    async def grows() -> bytes:
        seen.append(sum(file.stat().st_size for file in room.left()))
        return piece

    engine.steps = [SOUND, *[grows] * 30]
    hand = await room.run()
    assert room.state(hand) is JobState.SUCCEEDED
    assert list(room.blobs.files.values()) == [SOUND + piece * 30]
    came = [len(SOUND) + number * len(piece) for number in range(30)]
    assert all(0 <= arrived - written < PIECE_BYTES for arrived, written in zip(came, seen, strict=True))


@pytest.mark.parametrize(("says", "progress"), [(True, [0.0, 0.5, 1.0]), (False, [0.0, 0.0, 0.0])])
async def test_its_progress_is_noted(rooms: list[Room], tmp_path: Path, *, says: bool, progress: list[float]) -> None:
    """By the characters that are spoken, where the engine says it."""
    seen = list[float]()
    hands = list[InHand]()

    async def look() -> bytes:
        seen.append(hands[0].progress)
        return b"x"

    steps: list[SpeechStep] = [SOUND, look, look, look]
    if says:
        steps = [SOUND, look, Spoken(2500), b"y", look, Spoken(5000), b"z", look]
    room = room_of(rooms, tmp_path, speaker(*steps, says=says))
    hands.append(await room.hand())
    await room.runs.run(hands[0])
    assert seen == progress


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (BROKEN, "its breaking off"), (b"<html>", "what is no sound"), (b"", "nothing at all"),
    ],
)  # fmt: skip
async def test_the_next_engine_begins_anew(rooms: list[Room], tmp_path: Path, step: SpeechStep, why: str) -> None:
    """Nothing of the first one's sound is in the file, whatever it failed by; its breaker hears of it."""
    first = speaker(*([SOUND[:50], step] if step is BROKEN else [step]))
    second = speaker(SOUND, name="f")
    room = room_of(rooms, tmp_path, first, second, failures=1)
    hand = await room.run()
    assert list(room.blobs.files.values()) == [SOUND], why
    assert (room.state(hand), room.queue.engines[hand.job.id]) == (JobState.SUCCEEDED, "f")
    assert room.router.states()["e"] is State.OPEN
    assert second.asked[0][0].upstream_id == "s-at-f"


@pytest.mark.parametrize("failures", [0, 2])
async def test_an_engine_that_fails_is_tried_again(rooms: list[Room], tmp_path: Path, failures: int) -> None:
    """And the third time its owner is told so; nothing is kept of what it said."""
    room = room_of(rooms, tmp_path, speaker(SOUND, BROKEN))
    hand = await room.run(failures=failures)
    if failures:
        assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, ENGINE_FAILED)
    else:
        assert (room.state(hand), room.queue.pauses) == (JobState.QUEUED, [(hand.job.id, 2.0)])
    assert room.blobs.files == {}


@pytest.mark.parametrize(
    "failure", [InvalidValue(param="voice", why="there is none."), EngineRefusedRequest(model="s", where=": 'format'")]
)
async def test_a_fault_of_the_request_ends_the_job(rooms: list[Room], tmp_path: Path, failure: ApiError) -> None:
    """As a voice that is not there: with the error's words, at once, whoever else there is."""
    first, second = speaker(), speaker(SOUND, name="f")
    first.before_sound = failure
    room = room_of(rooms, tmp_path, first, second)
    hand = await room.run()
    assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, failure.message)
    assert second.asked == []


async def test_an_engine_that_is_away(rooms: list[Room], tmp_path: Path) -> None:
    """The job waits."""
    engine = speaker()
    engine.before_sound = NoEngine(param="model", model="s", retry_after_s=5)
    room = room_of(rooms, tmp_path, engine)
    hand = await room.run()
    assert (room.state(hand), room.queue.pauses) == (JobState.QUEUED, [(hand.job.id, 5.0)])


@pytest.mark.parametrize("field", ["total_s", "between_bytes_s"])
async def test_an_engine_that_takes_too_long(rooms: list[Room], tmp_path: Path, field: str) -> None:
    """In all, or between two pieces: it is let go, and the job tried again."""
    engine = speaker(SOUND, lambda: asyncio.get_running_loop().create_future())
    setattr(engine, field, 0.01)
    room = room_of(rooms, tmp_path, engine)
    hand = await room.run()
    assert (room.state(hand), [reply.closed for reply in engine.replies]) == (JobState.QUEUED, [1])


async def test_a_job_that_is_lost_stops_being_spoken(rooms: list[Room], tmp_path: Path) -> None:
    """Its owner cancelled it, or it was given to another: the engine hears of it, and no draft is left."""
    engine = speaker(SOUND, bytes(PIECE_BYTES), lambda: asyncio.get_running_loop().create_future())
    room = room_of(rooms, tmp_path, engine)
    hand = await room.hand()
    hand.task = asyncio.create_task(room.runs.run(hand))
    while not any(file.stat().st_size for file in room.left()):
        await asyncio.sleep(0.001)
    hand.lose()
    with pytest.raises(asyncio.CancelledError):
        await hand.task
    assert (room.state(hand), [reply.closed for reply in engine.replies], room.left()) == (JobState.RUNNING, [1], [])
    assert room.router.states()["e"] is State.CLOSED


@pytest.mark.parametrize("failures", [0, 2])
async def test_a_sound_that_cannot_be_kept(rooms: list[Room], tmp_path: Path, failures: int) -> None:
    """The store is away: it is spoken again, and at last its owner is told that it was not the engine."""
    room = room_of(rooms, tmp_path, speaker(SOUND))
    room.blobs.failure = StorageUnavailable(retry_after_s=5)
    hand = await room.run(failures=failures)
    if failures:
        assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, STORE_FAILED)
    else:
        assert (room.state(hand), room.queue.pauses) == (JobState.QUEUED, [(hand.job.id, 5.0)])


@pytest.mark.parametrize("failures", [0, 2])
async def test_a_disk_that_takes_no_drafts(rooms: list[Room], tmp_path: Path, failures: int) -> None:
    """The job is tried again, here or elsewhere; no engine is blamed for it, and none is asked in its place."""
    second = speaker(SOUND, name="f")
    room = room_of(rooms, tmp_path, speaker(SOUND), second, failures=1)
    hand = await room.hand(failures=failures)
    room.drafts.close()
    await room.runs.run(hand)
    room.drafts = DraftFolder(room.folder)
    assert room.blobs.files == {}
    assert second.asked == []
    if failures:
        assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, STORE_FAILED)
    else:
        assert (room.state(hand), room.queue.pauses) == (JobState.QUEUED, [(hand.job.id, 5.0)])


async def test_a_sound_that_never_ends(rooms: list[Room], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither fills the disk: its owner is told what to do about it."""
    monkeypatch.setattr(module, "MAX_SOUND_BYTES", 3 * PIECE_BYTES)
    room = room_of(rooms, tmp_path, speaker(SOUND, *[bytes(PIECE_BYTES)] * 10))
    hand = await room.run()
    assert room.state(hand) is JobState.FAILED
    assert "Send it in parts, or ask for mp3" in room.queue.messages[hand.job.id]


@pytest.mark.parametrize("sound_format", ["wav", "flac"])
async def test_a_wav_file_says_how_long_it_is(rooms: list[Room], tmp_path: Path, sound_format: AudioFormat) -> None:
    """Which it could not while it was streamed; other formats are kept as they came."""
    samples = bytes(range(256)) * 3000
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + bytes(16) + b"data\xff\xff\xff\xff"
    sound = head + samples if sound_format == "wav" else b"fLaC" + head + samples
    room = room_of(rooms, tmp_path, speaker(sound[:30], sound[30:]))
    await room.run(msgspec.structs.replace(ASKED, format=sound_format))
    ((name, kept),) = room.blobs.files.items()
    assert name.endswith(f".{sound_format}")
    if sound_format == "wav":
        sizes = [struct.unpack("<I", kept[place : place + 4])[0] for place in (4, 40)]
        assert sizes == [len(sound) - 8, len(samples)]
        assert kept[44:] == samples
    else:
        assert kept == sound


@pytest.mark.parametrize(("model", "words"), [("gone", "does not exist"), ("p", "draws")])
async def test_a_model_that_cannot_speak_ends_the_job(rooms: list[Room], tmp_path: Path, model: str, words: str) -> None:
    """The settings have changed since it was asked for."""
    room = room_of(rooms, tmp_path, speaker(SOUND))
    hand = await room.run(model=model)
    assert room.state(hand) is JobState.FAILED
    assert words in room.queue.messages[hand.job.id]


async def test_a_request_that_cannot_be_read_ends_the_job(rooms: list[Room], tmp_path: Path) -> None:
    """No attempt would read it."""
    room = room_of(rooms, tmp_path, speaker(SOUND))
    hand = await room.hand()
    hand = InHand(msgspec.structs.replace(hand.job, request=b'{"text": 5}'))
    await room.runs.run(hand)
    assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, UNREADABLE)
