"""A worker: what it takes, what it gives back, and what ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from minitoolai.core.catalog import Catalog, PictureModel, SpeechModel
from minitoolai.core.errors import DatabaseUnavailable, UpstreamError
from minitoolai.core.jobs import JobKind, JobState
from minitoolai.core.speech import SpeechRequest
from minitoolai.services import job_keeping, job_run
from minitoolai.services import worker as module
from minitoolai.services.job_run import JobRun, Maker
from minitoolai.services.lanes import Lanes
from minitoolai.services.picture_maker import PictureMaker
from minitoolai.services.picture_ports import PictureEngine
from minitoolai.services.routing import Router
from minitoolai.services.speech_maker import SpeechMaker
from minitoolai.services.speech_ports import SpeechEngine
from minitoolai.services.worker import Worker
from minitoolai.storage.drafts import DraftFolder
from tests.support.blobs import FakeBlobs
from tests.support.clients import until
from tests.support.picture_fakes import DRAWN, FakePictureEngine, Step
from tests.support.queue_fakes import FakeJobNews, FakeJobQueue
from tests.support.speaking import FakeSpeaker

MODELS = [PictureModel("m", 1, engine="e"), PictureModel("n", 1, engine="f")]


class Room:
    """A worker over a queue in memory."""

    def __init__(self, *engines: FakePictureEngine, drain_timeout_s: float = 60.0) -> None:
        self.queue, self.news, self.blobs = FakeJobQueue(), FakeJobNews(), FakeBlobs()
        self.engines = engines
        drawing: dict[str, PictureEngine] = {engine.name: engine for engine in engines}
        router: Router[PictureModel, PictureEngine] = Router(drawing, dict.fromkeys(drawing, 0), random.Random(1))
        #: Engines that are not there.
        self.away: set[str] = set()
        lanes = Lanes(JobKind.PICTURE, router, MODELS, {name: self._asker(name) for name in drawing})
        self.makers: dict[JobKind, Maker] = {JobKind.PICTURE: PictureMaker(Catalog(MODELS), router)}
        self.lanes = [lanes.of(engine) for engine in engines]
        runs = JobRun(self.makers, self.queue, self.blobs)
        self.worker = Worker(self.queue, self.news, runs, self.lanes, drain_timeout_s=drain_timeout_s)
        self.running: asyncio.Task[None] | None = None

    def _asker(self, name: str) -> Callable[[], Any]:
        async def ask() -> bool:
            return name not in self.away

        return ask

    @contextlib.asynccontextmanager
    async def works(self) -> AsyncIterator[None]:
        """The worker runs, and is stopped at the end."""
        self.running = asyncio.create_task(self.worker.run())
        try:
            yield
        finally:
            self.worker.stop()
            await asyncio.wait_for(self.running, 30)

    def ended(self, *states: JobState) -> bool:
        """Whether all jobs are in one of `states`."""
        return set(self.queue.states.values()) <= set(states)


class Held:
    """Pictures that come when the test says so."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[bytes]] = []

    def __call__(self) -> asyncio.Future[bytes]:
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def give(self) -> None:
        """Give the pictures."""
        for future in self.futures:
            if not future.done():
                future.set_result(DRAWN)


def holding(name: str = "e", *, parallel: int = 1, count: int = 10) -> tuple[FakePictureEngine, Held]:
    """Return an engine whose first pictures wait for the test."""
    held = Held()
    steps: list[Step] = [held] * count
    return FakePictureEngine(name, *steps, parallel=parallel), held


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every few seconds is looked at at once."""
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    monkeypatch.setattr(job_keeping, "TELL_S", 0.001)
    monkeypatch.setattr(job_run, "AGAIN_S", 0.001)


async def test_it_draws_what_waits_and_what_comes() -> None:
    """In the order of the queue; news of another job wake it."""
    engine = FakePictureEngine()
    room = Room(engine)
    for _ in range(3):
        room.queue.add()
    async with room.works():
        await until(lambda: room.ended(JobState.SUCCEEDED), "three are drawn")
        room.queue.add()
        assert not room.ended(JobState.SUCCEEDED)
        room.news.tell()
        await until(lambda: room.ended(JobState.SUCCEEDED), "the fourth is drawn")
    assert set(room.news.asked) == {"e"}
    assert list(room.queue.files) == sorted(room.queue.files)


async def test_each_kind_is_taken_by_its_own_lane(tmp_path: Path) -> None:
    """One engine does both, as many of each as it says: a kind that waits holds up no other."""
    engine, held = holding(parallel=1)
    room = Room(engine)
    speaker = FakeSpeaker(b"ID3", name="e")
    speaker.urgent = False
    speech = SpeechModel("s", 1, engine="e")
    router = Router[SpeechModel, SpeechEngine]({"e": speaker}, {"e": 0}, random.Random(1))
    drafts = DraftFolder(tmp_path)
    room.makers[JobKind.SPEECH] = SpeechMaker(Catalog([speech]), router, drafts)
    room.lanes.append(Lanes(JobKind.SPEECH, router, [speech], {}).of(speaker))
    drawn = [room.queue.add() for _ in range(2)]
    spoken = [room.queue.add(model="s", asked=SpeechRequest("a" * 5000)) for _ in range(3)]
    async with room.works():
        await until(lambda: all(room.queue.states[job.id] is JobState.SUCCEEDED for job in spoken), "all is spoken")
        assert [room.queue.states[job.id] for job in drawn] == [JobState.RUNNING, JobState.QUEUED]
        held.give()
        await until(lambda: room.queue.states[drawn[1].id] is JobState.RUNNING, "the second is drawn")
        held.give()
    drafts.close()
    assert {(name, kind) for name, kind, _ in room.queue.claims} == {("e", kind) for kind in JobKind}


async def test_it_takes_as_many_as_its_engine_draws_side_by_side() -> None:
    """Further ones wait in the queue, where others may take them."""
    engine, held = holding(parallel=2)
    room = Room(engine)
    for _ in range(5):
        room.queue.add()
    async with room.works():
        await until(lambda: engine.drawing == 2, "two are drawn")
        await asyncio.sleep(0.01)
        assert (len(room.queue.waiting), engine.drawing) == (3, 2)
        held.give()
        await until(lambda: len(held.futures) == 4, "the next two are drawn")
        engine.steps.clear()
        held.give()
        await until(lambda: room.ended(JobState.SUCCEEDED), "all are drawn")


async def test_engines_have_lanes_of_their_own() -> None:
    """One that is full, or away, keeps no other's jobs waiting."""
    slow, _ = holding("e")
    room = Room(slow, FakePictureEngine("f"), drain_timeout_s=0)
    room.queue.add()
    room.queue.add()
    other = room.queue.add(model="n", engine="f")
    async with room.works():
        await until(lambda: room.queue.states[other.id] is JobState.SUCCEEDED, "the other engine draws")
        assert slow.drawing == 1


async def test_nothing_is_taken_while_the_engine_is_away() -> None:
    """No attempt is wasted; once it is there, its jobs are drawn."""
    room = Room(FakePictureEngine())
    room.away = {"e"}
    room.queue.add()
    async with room.works():
        await asyncio.sleep(0.02)
        assert room.queue.claims == []
        room.away = set()
        await until(lambda: room.ended(JobState.SUCCEEDED), "it is drawn")


async def test_it_lives_through_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Which is said once at each end; a queue that cannot be read for another reason is said each time."""
    caplog.set_level(logging.WARNING)
    room = Room(FakePictureEngine())
    room.queue.failures["claim"] = [DatabaseUnavailable(), DatabaseUnavailable(), RuntimeError("anything")]
    room.queue.add()
    async with room.works():
        for count in (1, 2, 3):
            await until(lambda: len(room.queue.claims) == count, "it looks")  # noqa: B023 - called before the next round
            room.news.tell()
        await until(lambda: room.ended(JobState.SUCCEEDED), "it is drawn")
    said = [record.message for record in caplog.records if record.name == module.__name__]
    assert said == [
        "the database cannot be reached: no job is taken until it is back",
        "no picture job of e can be taken",
        "the database is back",
    ]


async def test_a_job_that_is_cancelled_is_stopped() -> None:
    """The next renewal says so; its place is free again, and nothing is written of it."""
    engine, held = holding(count=1)
    room = Room(engine)
    job = room.queue.add()
    async with room.works():
        await until(lambda: engine.drawing == 1, "it is drawn")
        del room.queue.attempts[job.id]
        engine.fractions = (0.5,)
        (hand,) = room.worker._hands
        hand.advanced(0.5)
        await until(lambda: engine.cancelled == 1, "it is stopped")
        other = room.queue.add()
        room.news.tell()
        await until(lambda: room.queue.states[other.id] is JobState.SUCCEEDED, "the next is drawn")
    assert (room.queue.states[job.id], room.queue.pauses, held.futures[0].cancelled()) == (JobState.RUNNING, [], True)


async def test_a_job_that_cannot_be_ended_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """Its lease lapses; the worker goes on."""
    room = Room(FakePictureEngine())
    room.queue.failures["complete"] = [RuntimeError("anything")]
    lost, good = room.queue.add(), room.queue.add()
    async with room.works():
        await until(lambda: room.queue.states[good.id] is JobState.SUCCEEDED, "the next is drawn")
    assert room.queue.states[lost.id] is JobState.RUNNING
    assert f"job {lost.id} could not be ended" in caplog.text


async def test_told_to_stop_it_finishes_what_it_has() -> None:
    """And takes nothing more."""
    engine, held = holding()
    room = Room(engine)
    first, second = room.queue.add(), room.queue.add()
    async with room.works():
        await until(lambda: engine.drawing == 1, "it is drawn")
        room.worker.stop()
        await asyncio.sleep(0.01)
        assert room.running is not None
        assert not room.running.done()
        held.give()
    assert (room.queue.states[first.id], room.queue.states[second.id]) == (JobState.SUCCEEDED, JobState.QUEUED)


@pytest.mark.parametrize("how", ["drain is over", "told twice"])
async def test_what_is_not_finished_is_put_back(how: str) -> None:
    """When the drain is over, or it is told again: another worker takes it at once."""
    engine, _ = holding()
    room = Room(engine, drain_timeout_s=0.0 if how == "drain is over" else 60.0)
    job = room.queue.add()
    async with room.works():
        await until(lambda: engine.drawing == 1, "it is drawn")
        if how == "told twice":
            room.worker.stop()
            await asyncio.sleep(0.01)
    assert (room.queue.states[job.id], room.queue.pauses, engine.drawing) == (JobState.QUEUED, [(job.id, 0.0)], 0)


async def test_what_the_database_does_not_take_back_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stops waits for it only so long."""
    monkeypatch.setattr(module, "PUT_BACK_S", 0.02)
    engine, _ = holding()
    room = Room(engine, drain_timeout_s=0)
    job = room.queue.add()
    async with room.works():
        await until(lambda: engine.drawing == 1, "it is drawn")
        room.queue.failures["put_back"] = [DatabaseUnavailable() for _ in range(10_000)]
    assert room.queue.states[job.id] is JobState.RUNNING


async def test_a_job_claimed_while_it_was_told_to_stop_is_not_forgotten() -> None:
    """The claim may have been on its way."""
    room = Room(FakePictureEngine("e", UpstreamError(model="m")))
    claim = room.queue.claim

    async def stopping(engine: str, kind: JobKind, most: int) -> Any:
        room.worker.stop()
        return await claim(engine, kind, most)

    room.queue.claim = stopping  # type: ignore[method-assign]
    job = room.queue.add()
    await asyncio.wait_for(room.worker.run(), 30)
    assert room.queue.states[job.id] is JobState.QUEUED
    assert room.queue.pauses == [(job.id, 2.0)]
