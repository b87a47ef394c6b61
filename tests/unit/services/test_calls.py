"""One clock watches the open calls: silence, stuck engines, deadlines, callers that take nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from minitoolai.core.errors import Draining, UpstreamTimeout
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.services import calls as module
from minitoolai.services.calls import KEEP_ALIVE_S, STALLED_CALLER_S, OpenCall, OpenCalls
from tests.support.fakes import FakeSink


async def forever() -> None:
    """A call that waits."""
    await asyncio.Event().wait()


@pytest.fixture
async def call() -> AsyncIterator[OpenCall]:
    """An open call whose engine may be silent for 100 s and that may take 1000 s."""
    task: asyncio.Task[object] = asyncio.create_task(forever())
    opened = OpenCall(UUID(int=1), task, lambda: 42)
    opened.between_bytes_s = 100.0
    opened.deadline = asyncio.get_running_loop().time() + 1000.0
    opened.expire = lambda: UpstreamTimeout(model="m")
    opened.sink = FakeSink()
    yield opened
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def look(call: OpenCall, after_s: float) -> None:
    """Look at a call as if so many seconds had passed."""
    calls = OpenCalls()
    calls._look_at(call, asyncio.get_running_loop().time() + after_s, CallerLeft)


async def test_a_silent_stream_is_kept_alive(call: OpenCall) -> None:
    """After 15 s, and again after 15 more; a call without a stream has nothing to keep."""
    assert isinstance(call.sink, FakeSink)
    look(call, KEEP_ALIVE_S - 1)
    assert call.sink.comments == 0
    look(call, KEEP_ALIVE_S + 1)
    assert call.sink.comments == 1
    assert call.reason is None
    call.sink = None
    look(call, KEEP_ALIVE_S + 1)
    assert call.reason is None


async def test_a_stuck_engine_is_given_up(call: OpenCall) -> None:
    """Only while its bytes are awaited."""
    look(call, 101)
    assert call.reason is None
    call.waiting_since = asyncio.get_running_loop().time()
    look(call, 99)
    assert call.reason is None
    look(call, 101)
    assert isinstance(call.reason, UpstreamTimeout)


async def test_a_call_has_a_deadline(call: OpenCall) -> None:
    """Whatever it is doing; without an error for it there is none."""
    look(call, 999)
    assert call.reason is None
    expire, call.expire = call.expire, None
    look(call, 1001)
    assert call.reason is None
    call.expire = expire
    look(call, 1001)
    assert isinstance(call.reason, UpstreamTimeout)


async def test_a_caller_that_takes_nothing_is_gone(call: OpenCall) -> None:
    """Promise P8: 12 s; until then neither deadline nor silence is its engine's fault."""
    assert isinstance(call.sink, FakeSink)
    call.waiting_since = asyncio.get_running_loop().time() - 5000
    call.sink.blocked_since = asyncio.get_running_loop().time()
    look(call, STALLED_CALLER_S - 1)
    assert call.reason is None
    assert call.sink.comments == 0
    look(call, STALLED_CALLER_S + 1)
    assert isinstance(call.reason, CallerLeft)


async def test_the_first_reason_stands(call: OpenCall) -> None:
    """A call is interrupted once, and once more by a caller that does not even take the error."""
    first = Draining()
    call.interrupt(first)
    call.interrupt(Draining())
    assert call.reason is first
    assert call._task.cancelling() == 1
    call.interrupt(CallerLeft())
    call.interrupt(CallerLeft())
    assert isinstance(call.reason, CallerLeft)
    assert call._task.cancelling() == 2


async def test_what_is_paid_for_is_interrupted_by_its_caller_only(call: OpenCall) -> None:
    """A drain or a deadline comes too late."""
    call.paid = True
    call.interrupt(Draining())
    assert call.reason is None
    call.interrupt(CallerLeft())
    assert isinstance(call.reason, CallerLeft)


async def test_all_calls_are_interrupted_with_an_error_of_their_own(call: OpenCall) -> None:
    """And what they have produced is told; a call that has gone is in neither."""
    calls = OpenCalls()
    other = OpenCall(UUID(int=2), asyncio.create_task(forever()), lambda: 7)
    calls.add(call)
    calls.add(other)
    assert len(calls) == 2
    assert calls.produced() == {UUID(int=1): 42, UUID(int=2): 7}
    calls.interrupt_all(Draining)
    assert isinstance(call.reason, Draining)
    assert isinstance(other.reason, Draining)
    assert call.reason is not other.reason
    calls.remove(other)
    calls.remove(other)
    assert calls.produced() == {UUID(int=1): 42}
    with contextlib.suppress(asyncio.CancelledError):
        await other._task


async def test_the_clock_ticks_for_ever(call: OpenCall, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at every call, again and again."""
    monkeypatch.setattr(module, "TICK_S", 0.001)
    monkeypatch.setattr(module, "KEEP_ALIVE_S", 0.0)
    assert isinstance(call.sink, FakeSink)
    calls = OpenCalls()
    calls.add(call)
    watching = asyncio.create_task(calls.watch(CallerLeft))
    async with asyncio.timeout(20):
        while call.sink.comments < 3:
            await asyncio.sleep(0.001)
    call.deadline = 0.0
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call._task, 20)
    assert isinstance(call.reason, UpstreamTimeout)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_a_call_that_has_ended_holds_nothing_back(call: OpenCall) -> None:
    """It produces nothing more and does not expire; paid for, only its caller's leaving can still end it."""
    call.let_go()
    assert call.produced_nusd() == 0
    look(call, 10_000)
    assert call.reason is None
    call.paid = True
    call.interrupt(Draining())
    assert call.reason is None
    call.interrupt(CallerLeft())
    assert isinstance(call.reason, CallerLeft)


async def test_a_caller_that_takes_its_reply_too_slowly_is_gone_when_the_time_is_over(call: OpenCall) -> None:
    """However often it takes a byte; the engine, which waits for it, has not failed."""
    assert isinstance(call.sink, FakeSink)
    call.sink.blocked_since = asyncio.get_running_loop().time() + 999
    look(call, 999.5)
    assert call.reason is None
    look(call, 1001)
    assert isinstance(call.reason, CallerLeft)
