"""One job in a worker's hands is kept and ended, each exactly once, whatever fails and whoever takes it away."""

from __future__ import annotations

import asyncio

import pytest

from minitoolai.core.errors import DatabaseUnavailable, InvalidValue
from minitoolai.core.jobs import MAX_ATTEMPTS, JobKind, JobState
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services import job_run as module
from minitoolai.services.breaker import State
from minitoolai.services.job_run import STORE_FAILED
from tests.support.blobs import FakeBlobs
from tests.support.picture_fakes import DRAWN, FakePictureEngine, Step
from tests.unit.services.job_room import BROKEN, JobRoom


class HangingBlobs(FakeBlobs):
    """Some of what it is asked never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.hanging = {"put"}

    async def _ask(self, method: str, name: str) -> None:
        await super()._ask(method, name)
        if method in self.hanging:
            await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is told again without a pause."""
    monkeypatch.setattr(module, "AGAIN_S", 0)


@pytest.mark.parametrize("failures", [0, 2])
async def test_a_picture_that_cannot_be_kept(failures: int) -> None:
    """Is drawn again, and at last its owner is told that it was not the engine."""
    room = JobRoom(FakePictureEngine())
    room.blobs.failure = StorageUnavailable(retry_after_s=5)
    hand = await room.run(failures=failures)
    if failures == 0:
        assert (room.state(hand), room.queue.pauses) == (JobState.QUEUED, [(hand.job.id, 5.0)])
    else:
        assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, STORE_FAILED)


@pytest.mark.parametrize(("failures", "state"), [(0, JobState.QUEUED), (2, JobState.FAILED)])
async def test_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch, failures: int, state: JobState) -> None:
    """As a network folder does whose server is gone: its job does not stay open for ever, nor its money held."""
    monkeypatch.setattr(module, "STORE_S", 0.01)
    room = JobRoom(FakePictureEngine())
    room.blobs = HangingBlobs()
    room.runs = room.over(room.blobs)
    assert room.state(await room.run(failures=failures)) is state
    hand = await room.hand()
    room.queue.take(hand.job)
    room.blobs.hanging = {"delete"}
    await room.runs.run(hand)
    assert len(room.blobs.files) == 1


async def test_the_picture_of_a_lost_attempt_is_thrown_away() -> None:
    """The job is another's: its file is not ours."""
    room = JobRoom(FakePictureEngine())
    hand = await room.hand()
    room.queue.take(hand.job)
    await room.runs.run(hand)
    assert room.blobs.files == {}
    assert hand.job.id not in room.queue.files


async def test_a_picture_that_cannot_be_thrown_away_is_left_over(caplog: pytest.LogCaptureFixture) -> None:
    """It is found by its day."""

    class Stuck(FakeBlobs):
        async def put(self, name: str, data: bytes, media_type: str) -> None:
            await super().put(name, data, media_type)
            self.failure = StorageUnavailable()

    room = JobRoom(FakePictureEngine())
    room.blobs = Stuck()
    room.runs = room.over(room.blobs)
    hand = await room.hand()
    room.queue.take(hand.job)
    await room.runs.run(hand)
    assert list(room.blobs.files)
    assert "is left over" in caplog.text


@pytest.mark.parametrize("method", ["complete", "retry", "fail"])
async def test_the_database_is_told_however_long_it_is_away(method: str) -> None:
    """A picture is not drawn anew for it, and no job stays open."""
    steps: dict[str, Step] = {"complete": DRAWN, "retry": BROKEN, "fail": InvalidValue(param="width", why="no.")}
    engine = FakePictureEngine("e", steps[method])
    room = JobRoom(engine)
    room.queue.failures[method] = [DatabaseUnavailable() for _ in range(5)]
    hand = await room.run()
    expected = {"complete": JobState.SUCCEEDED, "retry": JobState.QUEUED, "fail": JobState.FAILED}[method]
    assert (room.state(hand), len(engine.asked)) == (expected, 1)


async def test_an_answer_that_was_lost_does_not_cost_the_picture() -> None:
    """The job has ended by the first word, the second is refused: the file is the job's and stays."""
    room = JobRoom(FakePictureEngine())
    room.queue.unheard["complete"] = 1
    hand = await room.run()
    assert room.state(hand) is JobState.SUCCEEDED
    assert list(room.blobs.files) == [room.queue.files[hand.job.id].name]


async def test_what_is_put_back_waits_for_nothing() -> None:
    """Nothing is wrong with it, however often it was given up before; it counts as no failure."""
    room = JobRoom(FakePictureEngine())
    room.queue.failures["put_back"] = [DatabaseUnavailable() for _ in range(5)]
    hand = await room.hand(attempt=2 * MAX_ATTEMPTS, failures=2)
    await room.runs.put_back(hand)
    assert room.queue.pauses == [(hand.job.id, 0.0)]
    (again,) = await room.queue.claim("e", JobKind.PICTURE, 1)
    assert (again.attempt, again.failures) == (2 * MAX_ATTEMPTS + 1, 2)


async def test_a_job_that_is_lost_is_left_as_it_is() -> None:
    """Its drawing stops, and nothing is written."""
    engine = FakePictureEngine("e", lambda: asyncio.get_running_loop().create_future())
    room = JobRoom(engine)
    hand = await room.hand()
    hand.task = asyncio.create_task(room.runs.run(hand))
    while not engine.drawing:
        await asyncio.sleep(0)
    hand.lose()
    with pytest.raises(asyncio.CancelledError):
        await hand.task
    assert (room.state(hand), engine.cancelled, room.router.states()["e"]) == (JobState.RUNNING, 1, State.CLOSED)


async def test_a_job_that_is_ending_is_not_stopped() -> None:
    """Its picture is there: the database says whether it is still wanted."""
    room = JobRoom(FakePictureEngine())
    hand = await room.hand()
    hand.task = asyncio.create_task(room.runs.run(hand))
    while not hand.ending:
        await asyncio.sleep(0)
    hand.lose()
    await hand.task
    assert room.state(hand) is JobState.SUCCEEDED
