"""Calls that wait for their pictures: in whole, in part, too late, left, stopped; what is cancelled and what is given."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
import pytest

from minitoolai.core.errors import DatabaseUnavailable, Draining, InsufficientCredit, UpstreamTimeout
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.jobs import Created, JobState
from minitoolai.core.ledger import HoldAnswer, HoldOutcome, Repeatable
from minitoolai.core.picture_errors import PictureFailed
from minitoolai.core.pictures import PictureRequest
from minitoolai.services import drawing
from tests.support.clients import until
from tests.unit.services.picture_room import CALL, PRICE, PictureRoom


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the database."""
    monkeypatch.setattr(drawing, "AWAY_PAUSE_S", 0.0)


async def begun(room: PictureRoom, count: int, **changes: Any) -> asyncio.Task[drawing.Drawn]:
    """Return a call that has made so many jobs and waits for the first."""
    task = asyncio.create_task(room.draw(count=count, **changes))
    await until(lambda: len(room.ids) == count and room.news.asked, "it waits")
    return task


def end(room: PictureRoom, index: int, state: JobState, message: str | None = None) -> None:
    """End a job of a call."""
    room.jobs.end(room.ids[index], state, message=message)
    room.news.tell(room.ids[index])


async def test_all_are_drawn() -> None:
    """In the order of the call, whichever is done first; nothing is open afterwards."""
    room = PictureRoom()
    task = await begun(room, 3)
    assert len(room.calls) == 1
    assert set(room.calls.produced().values()) == {0}
    for index in (2, 0, 1):
        end(room, index, JobState.SUCCEEDED)
    drawn = await task
    assert [job.id for job in drawn.jobs] == room.ids
    assert (drawn.cost_nusd, drawn.replayed, room.facts.held_nusd) == (3 * PRICE, False, 3 * PRICE)
    assert len(room.calls) == 0
    assert room.jobs.cancelled == []
    seeds = [msgspec.json.decode(new.request, type=PictureRequest).seed for new in room.jobs.made]
    assert seeds == [7, 8, 9]
    assert len({new.call_id for new in room.jobs.made}) == 3


async def test_some_fail() -> None:
    """The others are given."""
    room = PictureRoom()
    task = await begun(room, 3)
    end(room, 0, JobState.FAILED, "no")
    end(room, 1, JobState.SUCCEEDED)
    end(room, 2, JobState.CANCELLED, "no")
    drawn = await task
    assert ([job.id for job in drawn.jobs], drawn.cost_nusd) == ([room.ids[1]], PRICE)


async def test_all_fail() -> None:
    """The caller is told why."""
    room = PictureRoom()
    task = await begun(room, 2)
    end(room, 0, JobState.FAILED)
    end(room, 1, JobState.FAILED, "The engine failed three times.")
    with pytest.raises(PictureFailed, match="three times"):
        await task


async def test_one_fails_for_no_reason() -> None:
    """There is always something to tell."""
    room = PictureRoom()
    task = await begun(room, 1)
    end(room, 0, JobState.FAILED)
    with pytest.raises(PictureFailed, match="nothing more is known"):
        await task


async def test_one_cannot_be_made() -> None:
    """Those that were are cancelled before the caller is told."""
    room = PictureRoom()
    room.jobs.answers = []
    create = room.jobs.create

    async def poor(new: Any) -> Created:
        if len(room.ids) == 2:
            return Created(HoldAnswer(HoldOutcome.NO_CREDIT, 0, 0))
        return await create(new)

    room.jobs.create = poor  # type: ignore[method-assign]
    with pytest.raises(InsufficientCredit):
        await room.draw(count=3)
    assert room.jobs.cancelled == room.ids
    assert len(room.calls) == 0


async def test_one_breaks_something() -> None:
    """Whatever failed: nobody waits for the others any more."""
    room = PictureRoom()
    create = room.jobs.create

    async def broken(new: Any) -> Created:
        if len(room.ids) == 2:
            raise RuntimeError("unforeseen")
        return await create(new)

    room.jobs.create = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await room.draw(count=3)
    assert await room.desk.close(1)
    assert room.jobs.cancelled == room.ids
    assert len(room.calls) == 0


async def test_what_was_drawn_before_another_could_not_be_made_is_given() -> None:
    """It was charged."""
    room = PictureRoom()
    create = room.jobs.create

    async def poor(new: Any) -> Created:
        if len(room.ids) == 2:
            room.jobs.end(room.ids[0], JobState.SUCCEEDED)
            return Created(HoldAnswer(HoldOutcome.NO_CREDIT, 0, 0))
        return await create(new)

    room.jobs.create = poor  # type: ignore[method-assign]
    drawn = await room.draw(count=3)
    assert [job.id for job in drawn.jobs] == [room.ids[0]]
    assert room.jobs.cancelled == [room.ids[1]]


async def test_the_caller_leaves() -> None:
    """Without a word from the clock: its connection cancels the task. All that has not ended is cancelled."""
    room = PictureRoom()
    task = await begun(room, 3)
    end(room, 0, JobState.SUCCEEDED)
    await until(lambda: len({job for job, _ in room.news.asked}) == 2, "it waits for the second")
    task.cancel()
    with pytest.raises(CallerLeft):
        await task
    assert await room.desk.close(1)
    assert room.jobs.cancelled == room.ids[1:]
    assert len(room.calls) == 0


@pytest.mark.parametrize("done", [0, 1])
async def test_the_server_stops(done: int) -> None:
    """What is done by then is given; where nothing is, the caller is told to come again."""
    room = PictureRoom()
    task = await begun(room, 2)
    for index in range(done):
        room.jobs.end(room.ids[index], JobState.SUCCEEDED)
    room.calls.interrupt_all(lambda: Draining(retry_after_s=2))
    if done:
        assert [job.id for job in (await task).jobs] == [room.ids[0]]
    else:
        with pytest.raises(Draining):
            await task
    assert room.jobs.cancelled == room.ids[done:]


async def test_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one clock of all calls says so."""
    monkeypatch.setattr(drawing, "DEADLINE_S", 0.0)
    room = PictureRoom()
    watching = asyncio.create_task(room.calls.watch(CallerLeft))
    task = await begun(room, 1)
    with pytest.raises(UpstreamTimeout):
        await task
    watching.cancel()
    assert room.jobs.cancelled == room.ids


async def test_a_job_that_is_done_while_it_is_cancelled_is_given() -> None:
    """What is charged is given."""
    room = PictureRoom()
    task = await begun(room, 1)
    cancel = room.jobs.cancel

    async def too_late(job_id: int, why: str) -> bool:
        room.jobs.end(job_id, JobState.SUCCEEDED)
        return await cancel(job_id, why)

    room.jobs.cancel = too_late  # type: ignore[method-assign]
    room.calls.interrupt_all(lambda: Draining(retry_after_s=2))
    assert [job.id for job in (await task).jobs] == room.ids


async def test_the_database_goes_away_meanwhile() -> None:
    """The jobs may be drawn all the same: the call goes on waiting."""
    room = PictureRoom()
    task = await begun(room, 1)
    room.jobs.failures = [DatabaseUnavailable()] * 3
    room.news.tell(room.ids[0])
    await until(lambda: not room.jobs.failures, "it was away")
    end(room, 0, JobState.SUCCEEDED)
    assert (await task).cost_nusd == PRICE


async def test_news_that_are_none_are_looked_at() -> None:
    """Every gap in listening wakes all who wait."""
    room = PictureRoom()
    task = await begun(room, 1)
    for times in (2, 3, 4):
        room.news.tell(room.ids[0])
        await until(partial(_asked, room, times), "it waits again")
    end(room, 0, JobState.SUCCEEDED)
    await task


def _asked(room: PictureRoom, times: int) -> bool:
    return len(room.news.asked) >= times


async def test_a_repeated_call_waits_for_the_first_ones_jobs() -> None:
    """Each picture has a key of its own; jobs of another call are not cancelled with this one."""
    room = PictureRoom()
    again = Repeatable("key", b"digest")
    first = await begun(room, 2, repeatable=again)
    keys = [new.repeatable.key for new in room.jobs.made if new.repeatable is not None]
    assert keys == ["key", "key\x001"]
    for new in room.jobs.made:
        assert new.reply is not None
        room.replays.replies[new.call_id] = new.reply
    create = room.jobs.create

    async def known(new: Any) -> Created:
        found = next(each for each in room.jobs.made if each.repeatable == new.repeatable)
        return Created(HoldAnswer(HoldOutcome.REPLAY, 0, 0, earlier=found.call_id))

    room.jobs.create = known  # type: ignore[method-assign]
    leaving = asyncio.create_task(room.draw(count=2, repeatable=again))
    waiting = asyncio.create_task(room.draw(count=2, repeatable=again))
    await until(lambda: len(room.calls) == 3, "all wait")
    await until(lambda: len(room.news.asked) == 3, "all listen")
    leaving.cancel()
    with pytest.raises(CallerLeft):
        await leaving
    assert await room.desk.close(1)
    assert room.jobs.cancelled == []
    room.jobs.create = create  # type: ignore[method-assign]
    for index in range(2):
        room.jobs.end(room.ids[index], JobState.SUCCEEDED)
        for _ in range(3):
            room.news.tell(room.ids[index])
            await asyncio.sleep(0.01)
    assert [job.id for job in (await first).jobs] == [job.id for job in (await waiting).jobs] == room.ids
    assert (await waiting).replayed
    assert not (await first).replayed


async def test_a_cap_is_for_all_pictures() -> None:
    """Not for each."""
    room = PictureRoom()
    with pytest.raises(InsufficientCredit):
        await room.draw(CALL, count=2, max_cost_nusd=2 * PRICE - 1)
    assert room.ids == []
