"""What costs what (contract §7): calls that are interrupted, wherever they wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minitoolai.core.errors import Draining, UpstreamError, UpstreamTimeout
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.sse import DONE
from minitoolai.services import reckoning
from tests.unit.services.room import (
    ANSWER,
    CONTENT,
    HALF,
    LAST,
    PROMPT,
    REPLY_WITH_USAGE,
    USAGE_COST,
    Room,
    error_event,
)


def left(room: Room, task: asyncio.Task[Any]) -> None:
    """The caller's connection is gone."""
    task.cancel()


def stalled(room: Room, task: asyncio.Task[Any]) -> None:
    """The caller takes nothing."""
    (call,) = room.calls._calls.values()
    call.interrupt(CallerLeft())


def drained(room: Room, task: asyncio.Task[Any]) -> None:
    """The server stops."""
    room.calls.interrupt_all(Draining)


def timed_out(room: Room, task: asyncio.Task[Any]) -> None:
    """The engine is stuck."""
    (call,) = room.calls._calls.values()
    assert call.expire is not None
    call.interrupt(call.expire())


#: Each with the error it ends in, and whether the caller has gone.
INTERRUPTIONS = [
    (left, CallerLeft, True), (stalled, CallerLeft, True), (drained, Draining, False), (timed_out, UpstreamTimeout, False),
]  # fmt: skip


@pytest.mark.parametrize(("interrupt", "error", "gone"), INTERRUPTIONS)
class TestInterrupted:
    """A call that does not come to its end."""

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_before_the_engines_headers(self, interrupt: Any, error: Any, *, gone: bool, streamed: bool) -> None:
        """Nothing is charged, whoever ended it."""
        room = Room()
        room.engine.before_headers = room.hang
        task = asyncio.create_task(room.stream() if streamed else room.whole())
        await room.there.wait()
        interrupt(room, task)
        with pytest.raises(error):
            await task
        assert not room.sink.started
        await room.ended(0, CallOutcome.ABANDONED if gone else CallOutcome.FAILED)

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_before_any_content(self, interrupt: Any, error: Any, *, gone: bool, streamed: bool) -> None:
        """Whoever leaves a reply that has begun pays its prompt."""
        room = Room()
        room.engine.reply._steps = [room.hang]
        task = asyncio.create_task(room.stream() if streamed else room.whole())
        await room.there.wait()
        interrupt(room, task)
        with pytest.raises(error):
            await task
        await room.ended(PROMPT if gone else 0, CallOutcome.ABANDONED if gone else CallOutcome.FAILED)
        assert room.engine.reply.closed >= 1

    async def test_within_a_whole_reply(self, interrupt: Any, error: Any, *, gone: bool) -> None:
        """Whoever leaves pays for what was received; a failure of ours or the engine's is free."""
        room = Room()
        room.engine.reply._steps = [HALF, room.hang]
        task = asyncio.create_task(room.whole())
        await room.there.wait()
        interrupt(room, task)
        with pytest.raises(error):
            await task
        cost, outcome = (PROMPT + 2 * ANSWER, CallOutcome.ABANDONED) if gone else (0, CallOutcome.FAILED)
        await room.ended(cost, outcome)

    @pytest.mark.parametrize("place", ["reading", "writing"])
    async def test_within_a_stream(self, interrupt: Any, error: Any, place: str, *, gone: bool) -> None:
        """What was received is charged; a caller that is there gets an error event."""
        room = Room()
        room.engine.reply._steps = [CONTENT, room.hang]
        if place == "writing":
            blocked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def block(frames: bytes) -> asyncio.Future[None] | None:
                room.there.set()
                return blocked if frames == CONTENT else None

            room.sink.before_write = block
        task = asyncio.create_task(room.stream())
        await room.there.wait()
        await asyncio.sleep(0)
        interrupt(room, task)
        if gone:
            with pytest.raises(CallerLeft):
                await task
        else:
            await task
            assert error_event(room.sink.text) == error.code
        assert "[DONE]" not in room.sink.text
        await room.ended(PROMPT + 2 * ANSWER, CallOutcome.ABANDONED if gone else CallOutcome.CUT)

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_while_it_is_settled(self, interrupt: Any, error: Any, *, gone: bool, streamed: bool) -> None:
        """It was produced whole and is charged whole, once; it can no more be drained or time out."""
        room = Room(CONTENT, LAST + DONE) if streamed else Room(REPLY_WITH_USAGE)
        room.ledger.answered = lambda: setattr(room.ledger, "paused", True)
        task = asyncio.create_task(room.stream() if streamed else room.whole())
        while not room.ledger.settlements:
            await asyncio.sleep(0)
        room.ledger.answered = lambda: None
        interrupt(room, task)
        if gone:
            with pytest.raises(CallerLeft):
                await task
        else:
            room.ledger.paused = False
            await task
            assert not streamed or "[DONE]" in room.sink.text
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)

    async def test_while_an_error_is_told(self, interrupt: Any, error: Any, *, gone: bool) -> None:
        """It was settled before."""
        room = Room(CONTENT, UpstreamError(model="m"))
        blocked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def block(frames: bytes) -> asyncio.Future[None] | None:
            if b"error" not in frames:
                return None
            room.there.set()
            return blocked

        room.sink.before_write = block
        task = asyncio.create_task(room.stream())
        await room.there.wait()
        interrupt(room, task)
        with pytest.raises(asyncio.CancelledError):
            await task
        await room.ended(PROMPT + 2 * ANSWER, CallOutcome.CUT)


async def test_a_call_that_cannot_be_counted_is_settled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """At what it was known to have produced: no fault of ours leaves a hold behind."""

    def broken(_: str) -> int:
        raise RuntimeError("no tokenizer")

    monkeypatch.setattr(reckoning, "count_text", broken)
    room = Room(CONTENT)
    with pytest.raises(RuntimeError):
        await room.stream()
    await asyncio.sleep(0.005)
    (settlement,) = room.ledger.settlements
    assert (settlement.cost_nusd, settlement.outcome) == (PROMPT + 2, CallOutcome.CUT)  # one chunk, taken for a token
    assert (room.ledger.balance, room.ledger.held, len(room.calls)) == (10**6 - PROMPT - 2, 0, 0)
