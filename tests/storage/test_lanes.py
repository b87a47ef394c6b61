"""What waits while a batch is in flight goes out as the next one; one bad operation fails alone; nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from minitoolai.core.errors import DatabaseUnavailable, ServerError
from minitoolai.storage import lanes
from minitoolai.storage.lanes import BatchLane


class FakeRun:
    """A database that doubles numbers, in batches, as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        #: What the next batches fail with, one each.
        self.failures: list[Exception] = []
        #: Operations that it refuses whenever they come.
        self.refused: set[int] = set()
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, operations: Sequence[int]) -> list[int]:
        """Answer a batch."""
        self.batches.append(list(operations))
        await asyncio.sleep(0)
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.refused & set(operations):
            raise asyncpg.CheckViolationError("refused")
        return [2 * operation for operation in operations]


class Desk:
    """A lane over a fake run, and what it said of its operations."""

    def __init__(self, *, patient: bool) -> None:
        self.run = FakeRun()
        self.unsure: list[int] = []
        self.unwanted: list[tuple[int, int]] = []
        self.lane: BatchLane[int, int] = BatchLane(
            self.run, patient=patient, unsure=self.unsure.append,
            unwanted=lambda operation, answer: self.unwanted.append((operation, answer)),
        )  # fmt: skip


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(lanes, "RETRY_PAUSES_S", (0.0, 0.001))


async def turns(count: int = 10) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_goes_out_together() -> None:
    """The first alone, the rest as one batch behind it; answers in their order."""
    desk = Desk(patient=False)
    desk.run.open.clear()
    first = desk.lane.submit(1)
    await turns()
    rest = [desk.lane.submit(number) for number in (2, 3, 4)]
    assert desk.lane.pending == 4
    desk.run.open.set()
    assert list(await asyncio.gather(first, *rest)) == [2, 4, 6, 8]
    assert desk.run.batches == [[1], [2, 3, 4]]
    assert desk.lane.pending == 0
    assert await desk.lane.submit(5) == 10
    await desk.lane.close()


async def test_a_batch_has_an_end() -> None:
    """A larger queue goes out in pieces."""
    desk = Desk(patient=False)
    futures = [desk.lane.submit(number) for number in range(lanes.MOST_PER_BATCH + 3)]
    assert list(await asyncio.gather(*futures)) == [2 * number for number in range(lanes.MOST_PER_BATCH + 3)]
    assert [len(batch) for batch in desk.run.batches] == [lanes.MOST_PER_BATCH, 3]
    await desk.lane.close()


async def test_what_is_cancelled_before_it_was_sent_is_taken_back() -> None:
    """Even if it is all there is."""
    desk = Desk(patient=False)
    desk.run.open.clear()
    first = desk.lane.submit(1)
    await turns()
    second, third = desk.lane.submit(2), desk.lane.submit(3)
    second.cancel()
    third.cancel()
    desk.run.open.set()
    await first
    await turns()
    assert desk.run.batches == [[1]]
    assert desk.unwanted == []
    assert desk.lane.pending == 0
    assert await desk.lane.submit(4) == 8
    await desk.lane.close()


async def test_what_is_cancelled_after_it_was_sent_is_unwanted() -> None:
    """Its answer is told, so that a hold can be released."""
    desk = Desk(patient=False)
    desk.run.open.clear()
    first, second = desk.lane.submit(1), desk.lane.submit(2)
    await turns()
    first.cancel()
    desk.run.open.set()
    assert await second == 4
    assert desk.unwanted == [(1, 2)]
    await desk.lane.close()


async def test_an_impatient_lane_fails_and_says_what_is_unsure() -> None:
    """The server may have done it all the same; a cancelled operation is unsure too."""
    desk = Desk(patient=False)
    desk.run.failures = [DatabaseUnavailable(retry_after_s=2)]
    futures = [desk.lane.submit(1), desk.lane.submit(2)]
    await asyncio.sleep(0)
    futures[1].cancel()
    with pytest.raises(DatabaseUnavailable):
        await futures[0]
    assert desk.unsure == [1, 2]
    assert await desk.lane.submit(3) == 6
    assert desk.run.batches == [[1, 2], [3]]
    await desk.lane.close()


async def test_a_patient_lane_tries_until_it_is_done() -> None:
    """Longer than its list of pauses; those that come meanwhile wait behind it, in order."""
    desk = Desk(patient=True)
    desk.run.failures = [DatabaseUnavailable() for _ in range(7)]
    first = desk.lane.submit(1)
    await turns()
    second = desk.lane.submit(2)
    assert [await first, await second] == [2, 4]
    assert desk.run.batches == [[1]] * 8 + [[2]]
    assert desk.unsure == []
    await desk.lane.close()


@pytest.mark.parametrize("failure", [asyncpg.DeadlockDetectedError, asyncpg.SerializationError])
async def test_a_deadlock_is_tried_again(failure: type[asyncpg.PostgresError]) -> None:
    """The whole batch, some times; then its operations one by one."""
    desk = Desk(patient=False)
    desk.run.failures = [failure("x") for _ in range(lanes.MOST_REPEATS)]
    assert list(await asyncio.gather(desk.lane.submit(1), desk.lane.submit(2))) == [2, 4]
    assert desk.run.batches == [[1, 2]] * (lanes.MOST_REPEATS + 1)
    desk.run.batches.clear()
    desk.run.failures = [failure("x") for _ in range(lanes.MOST_REPEATS + 1)]
    assert list(await asyncio.gather(desk.lane.submit(1), desk.lane.submit(2))) == [2, 4]
    assert desk.run.batches == [[1, 2]] * (lanes.MOST_REPEATS + 1) + [[1], [2]]
    await desk.lane.close()


async def test_one_bad_operation_fails_alone() -> None:
    """Its neighbours are answered; a caller that left meanwhile gets its answer told."""
    desk = Desk(patient=False)
    desk.run.refused = {2}
    futures = [desk.lane.submit(number) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    futures[2].cancel()
    results = await asyncio.gather(*futures[:2], return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], ServerError)
    assert isinstance(results[1].__cause__, asyncpg.CheckViolationError)
    await turns()
    assert desk.unwanted == [(3, 6)]
    assert desk.run.batches == [[1, 2, 3], [1], [2], [3]]
    await desk.lane.close()


async def test_the_database_leaves_while_a_batch_is_run_one_by_one() -> None:
    """Impatient: unsure and failed. Cancelled ones are unsure as well."""
    desk = Desk(patient=False)
    desk.run.failures = [asyncpg.CheckViolationError("x"), DatabaseUnavailable(), DatabaseUnavailable()]
    futures = [desk.lane.submit(number) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    futures[1].cancel()
    with pytest.raises(DatabaseUnavailable):
        await futures[0]
    assert await futures[2] == 6
    assert desk.unsure == [1, 2]
    await desk.lane.close()


async def test_a_refused_operation_that_nobody_awaits() -> None:
    """Its caller left: nothing is raised anywhere."""
    desk = Desk(patient=False)
    desk.run.refused = {1}
    future = desk.lane.submit(1)
    await asyncio.sleep(0)
    future.cancel()
    assert await desk.lane.submit(2) == 4
    assert desk.unwanted == []
    await desk.lane.close()


async def test_a_fault_of_our_own_does_not_end_the_lane() -> None:
    """A batch that raises what nobody foresaw is asked one by one; what fails again fails alone."""
    desk = Desk(patient=False)
    desk.run.failures = [KeyError(2), KeyError(1)]
    results = await asyncio.gather(desk.lane.submit(1), desk.lane.submit(2), return_exceptions=True)
    assert isinstance(results[0], ServerError)
    assert results[1] == 4
    assert await desk.lane.submit(3) == 6
    await desk.lane.close()


async def test_what_must_not_be_lost_is_tried_again_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that the database refuses stays pending until it is taken; others do not wait for it."""
    monkeypatch.setattr(lanes, "PARK_S", 0.01)
    desk = Desk(patient=True)
    desk.run.failures = [KeyError(2), KeyError(1), KeyError(1)]
    assert list(await asyncio.gather(desk.lane.submit(1), desk.lane.submit(2))) == [2, 4]
    assert desk.lane.pending == 0
    await desk.lane.close()


async def test_draining_waits_for_what_is_pending() -> None:
    """At most so long; nothing pending is drained at once."""
    desk = Desk(patient=True)
    assert await desk.lane.drain(0)
    desk.run.open.clear()
    future = desk.lane.submit(1)
    await turns()
    assert not await desk.lane.drain(0.001)
    asyncio.get_running_loop().call_soon(desk.run.open.set)
    assert await desk.lane.drain(10)
    assert future.result() == 2
    await desk.lane.close()


async def test_closing_fails_what_is_pending() -> None:
    """In flight and waiting: nobody waits for ever."""
    desk = Desk(patient=True)
    desk.run.open.clear()
    first = desk.lane.submit(1)
    await turns()
    second = desk.lane.submit(2)
    await desk.lane.close()
    for future in (first, second):
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(future, 5)
    assert desk.lane.pending == 0
    await desk.lane.close()


async def test_closing_passes_over_what_was_cancelled() -> None:
    """In flight, waiting and parked."""
    desk = Desk(patient=True)
    desk.run.open.clear()
    first = desk.lane.submit(1)
    await turns()
    second = desk.lane.submit(2)
    first.cancel()
    second.cancel()
    await desk.lane.close()
    assert desk.lane.pending == 0
    assert first.cancelled()
