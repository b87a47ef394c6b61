"""The loops around jobs: leases, sweeps, and what has been kept long enough."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from typing import Any

import pytest

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.jobs import JobKind, StoredFile
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services import job_keeping as module
from minitoolai.services.job_keeping import (
    BATCH,
    FORGET_S,
    GRACE_S,
    LEFT_OVER_S,
    RENEW_S,
    SWEEP_S,
    TELL_S,
    forget_jobs,
    keep_jobs,
    sweep_jobs,
)
from minitoolai.services.job_run import InHand
from tests.support.blobs import FakeBlobs
from tests.support.loop_time import FakeLoopTime
from tests.support.queue_fakes import FakeJobQueue

DAY_S = 86_400.0


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]:
    """Run a loop for so many rounds."""

    async def run(count: int, loop: Coroutine[Any, Any, None]) -> None:
        monkeypatch.setattr(module, "asyncio", FakeLoopTime(count))
        with pytest.raises(asyncio.CancelledError):
            await loop

    return run


Rounds = Callable[[int, Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]


async def in_hand(queue: FakeJobQueue, count: int = 1) -> list[InHand]:
    """Return jobs in hand."""
    for _ in range(count):
        queue.add()
    return [InHand(job) for job in await queue.claim("e", JobKind.PICTURE, count)]


async def test_leases_are_renewed_every_five_seconds(rounds: Rounds) -> None:
    """All jobs at once, also where nothing was done of them."""
    queue = FakeJobQueue()
    hands = await in_hand(queue, 2)
    await rounds(10, keep_jobs(queue, lambda: hands))
    assert (TELL_S, RENEW_S) == (1.0, 5.0)
    assert queue.renewed == [{(hand.job.id, 1): 0.0 for hand in hands}] * 2
    assert not any(hand.lost for hand in hands)


async def test_progress_is_told_every_second(rounds: Rounds) -> None:
    """Once for each change, and with it all leases are renewed."""
    queue = FakeJobQueue()
    (hand,) = await in_hand(queue)
    hand.advanced(0.5)
    await rounds(3, keep_jobs(queue, lambda: [hand]))
    assert queue.renewed == [{(hand.job.id, 1): 0.5}]


async def test_jobs_that_are_lost_are_stopped(rounds: Rounds) -> None:
    """The others go on, and so do those that are ending."""
    queue = FakeJobQueue()
    hands = await in_hand(queue, 3)
    kept, gone, ending = hands
    for hand in hands:
        hand.task = asyncio.create_task(asyncio.sleep(60))
    ending.ending = True
    queue.take(gone.job)
    queue.take(ending.job)
    await rounds(5, keep_jobs(queue, lambda: hands))
    assert [hand.lost for hand in hands] == [False, True, False]
    assert gone.task is not None
    with pytest.raises(asyncio.CancelledError):
        await gone.task
    for hand in (kept, ending):
        assert hand.task is not None
        assert not hand.task.cancelling()
        hand.task.cancel()


async def test_no_failure_ends_the_renewing(rounds: Rounds, caplog: pytest.LogCaptureFixture) -> None:
    """The database away is no news here; anything else is."""
    queue = FakeJobQueue()
    hands = await in_hand(queue)
    queue.failures["renew"] = [DatabaseUnavailable(), RuntimeError("anything")]
    await rounds(15, keep_jobs(queue, lambda: hands))
    assert len(queue.renewed) == 3
    assert [record.message for record in caplog.records] == ["renewing the leases of 1 jobs failed"]


async def test_nobody_is_called_dead_before_the_grace(rounds: Rounds, caplog: pytest.LogCaptureFixture) -> None:
    """All workers had time to renew; what was done is said."""
    queue = FakeJobQueue()
    queue.swept = (2, 1)
    await rounds(5, sweep_jobs(queue, 3600))
    assert (SWEEP_S, GRACE_S) == (5.0, 20.0)
    assert queue.sweeps == [3600, 3600]
    assert "2 jobs of dead workers were put back, 1 jobs were given up" in caplog.text


async def test_the_grace_begins_again_after_an_outage(rounds: Rounds) -> None:
    """From the moment at which the database answers."""
    queue = FakeJobQueue()
    queue.failures = {"sweep": [DatabaseUnavailable()], "depths": [DatabaseUnavailable(), DatabaseUnavailable()]}
    await rounds(4 + 2 + 1 + 3, sweep_jobs(queue, 60))
    assert len(queue.sweeps) == 1
    await rounds(4 + 2 + 1 + 4, sweep_jobs(queue, 60))
    assert len(queue.sweeps) > 1


async def test_no_failure_ends_the_sweeping(rounds: Rounds, caplog: pytest.LogCaptureFixture) -> None:
    """Holds of jobs would stand for ever."""
    queue = FakeJobQueue()
    queue.failures["sweep"] = [RuntimeError("anything")]
    await rounds(5, sweep_jobs(queue, 60))
    assert len(queue.sweeps) == 2
    assert "sweeping jobs failed" in caplog.text


def outlived(count: int) -> list[tuple[int, StoredFile | None]]:
    """Jobs whose time is over, every second with a picture."""
    return [(job, StoredFile(f"pictures/2026-10-01/{job}-1.png", 9) if job % 2 else None) for job in range(count)]


async def test_jobs_are_forgotten_when_their_time_is_over(rounds: Rounds, caplog: pytest.LogCaptureFixture) -> None:
    """Their pictures first."""
    caplog.set_level(logging.INFO)
    queue, blobs = FakeJobQueue(), FakeBlobs()
    queue.outlive = outlived(4)
    for _, file in queue.outlive:
        if file is not None:
            blobs.files[file.name] = b"picture"
    await rounds(2, forget_jobs(queue, blobs, 30 * DAY_S, lambda: date(2026, 11, 25)))
    assert (queue.forgotten, blobs.files) == ([0, 1, 2, 3], {})
    assert [record.message for record in caplog.records] == ["4 jobs were forgotten: their time is over"]


async def test_many_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full batch is followed by the next after a second, and the last by the usual minute."""
    queue, blobs = FakeJobQueue(), FakeBlobs()
    queue.outlive = outlived(2 * BATCH + 1)
    times: list[float] = []
    forget = queue.forget

    async def timed(job_ids: Sequence[int]) -> None:
        times.append(clock.now)
        await forget(job_ids)

    monkeypatch.setattr(queue, "forget", timed)
    clock = FakeLoopTime(4)
    monkeypatch.setattr(module, "asyncio", clock)
    with pytest.raises(asyncio.CancelledError):
        await forget_jobs(queue, blobs, 30 * DAY_S, lambda: date(2026, 11, 25))
    assert times == [FORGET_S, FORGET_S + 1, FORGET_S + 2]
    assert len(queue.forgotten) == 2 * BATCH + 1


async def test_files_that_no_job_knows_are_found_by_their_day(rounds: Rounds) -> None:
    """A day later than the youngest job that is forgotten, in batches."""
    queue, blobs = FakeJobQueue(), FakeBlobs()
    kept = {"pictures/2026-10-25/1-1.png": b"young"}
    blobs.files = {**{f"pictures/2026-10-24/{job}-1.png": b"old" for job in range(BATCH + 1)}, **kept}
    await rounds(3, forget_jobs(queue, blobs, 30 * DAY_S, lambda: date(2026, 11, 25)))
    assert blobs.files == kept
    assert blobs.asked.count(("list_before", "pictures")) == 2


async def test_a_picture_that_a_job_has_stays_whatever_its_day_says(rounds: Rounds) -> None:
    """A clock that is wrong deletes nothing that was paid."""
    queue, blobs = FakeJobQueue(), FakeBlobs()
    blobs.files = {f"pictures/2026-10-24/{job}-1.png": b"old" for job in range(2)}
    queue.kept = {"pictures/2026-10-24/1-1.png"}
    await rounds(2, forget_jobs(queue, blobs, 30 * DAY_S, lambda: date(2026, 11, 25)))
    assert set(blobs.files) == queue.kept


async def test_speech_that_no_job_knows_is_found_too(rounds: Rounds) -> None:
    """In its own folder, by its own days, while pictures are found in theirs."""
    queue, blobs = FakeJobQueue(), FakeBlobs()
    kept = {"speech/2026-10-25/1-1.mp3": b"young", "speech/2026-10-24/7-1.wav": b"known"}
    blobs.files = {"speech/2026-10-24/1-1.mp3": b"old", "pictures/2026-10-24/1-1.png": b"old", **kept}
    queue.kept = {"speech/2026-10-24/7-1.wav"}
    await rounds(2, forget_jobs(queue, blobs, 30 * DAY_S, lambda: date(2026, 11, 25)))
    assert blobs.files == kept


async def test_the_store_is_listed_once_an_hour(rounds: Rounds) -> None:
    """Some stores take money for it."""
    blobs = FakeBlobs()
    two_hours = int(2 * LEFT_OVER_S / FORGET_S)
    await rounds(two_hours, forget_jobs(FakeJobQueue(), blobs, 30 * DAY_S, lambda: date(2026, 11, 25)))
    assert blobs.asked == [("list_before", "pictures"), ("list_before", "speech")] * 2


@pytest.mark.parametrize("failure", [DatabaseUnavailable(), RuntimeError("anything")])
async def test_no_failure_ends_the_forgetting(
    rounds: Rounds, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:  # fmt: skip
    """Pictures would be kept for ever."""
    queue, blobs = FakeJobQueue(), FakeBlobs()
    queue.outlive = outlived(2)
    queue.failures["outlived"] = [failure]
    await rounds(2, forget_jobs(queue, blobs, DAY_S, lambda: date(2026, 11, 25)))
    assert queue.forgotten == [0, 1]
    assert ("forgetting jobs failed" in caplog.text) == isinstance(failure, RuntimeError)


async def test_a_job_is_not_forgotten_before_its_picture(rounds: Rounds) -> None:
    """While the store is away its row says what is still to be deleted."""
    queue, blobs = FakeJobQueue(), FakeBlobs()
    queue.outlive = outlived(2)
    blobs.failure = StorageUnavailable()
    await rounds(2, forget_jobs(queue, blobs, DAY_S))
    assert queue.forgotten == []
