"""What engines are given time for, and what their breakers hear of it, whatever becomes of the calls."""

from __future__ import annotations

import asyncio

import pytest

from minitoolai.core.errors import EngineRefusedRequest, NoEngine, UpstreamError, UpstreamTimeout
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome
from minitoolai.services import calls
from minitoolai.services.breaker import State
from tests.unit.services.room import (
    CONTENT,
    GOOD,
    REPLY_WITH_USAGE,
    ROLE,
    USAGE_COST,
    Room,
    error_event,
    run,
    said,
    second,
)  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that looks often."""
    monkeypatch.setattr(calls, "TICK_S", 0.005)


@pytest.mark.usefixtures("quick")
class TestTime:
    """No call takes longer than its time, however many engines it tries."""

    async def test_the_whole_calls_time_is_over(self) -> None:
        """No other engine is begun."""
        room = Room(others=[second(*GOOD[False])])
        room.engine.total_s = 0.03
        room.engine.before_headers = room.hang
        watch = asyncio.create_task(room.calls.watch(CallerLeft))
        with pytest.raises(UpstreamTimeout):
            await room.whole()
        watch.cancel()
        assert room.engines["second"].limits == []
        await room.ended(0, CallOutcome.FAILED)

    async def test_a_second_engine_has_its_own_time_within_the_calls(self) -> None:
        """After it a third may still be tried; it has its own again."""
        room = Room(others=[second(name="b"), second(*GOOD[False], name="c")])
        room.engine.before_headers = UpstreamError(model="m")
        room.engines["b"].total_s = 0.03
        room.engines["b"].before_headers = room.hang

        def slow() -> asyncio.Future[bytes]:
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.06, future.set_result, b"")
            return future

        room.engines["c"].before_headers = slow
        watch = asyncio.create_task(room.calls.watch(CallerLeft))
        await room.whole()
        watch.cancel()
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)
        assert room.ledger.settlements[0].engine == "c"

    async def test_silence_of_the_first_is_not_the_seconds(self) -> None:
        """The wait for bytes begins anew: the second may be slow with its headers."""
        room = Room(others=[second(*GOOD[True])])
        room.engine.reply._steps = [lambda: _after(0.03, UpstreamError(model="m"))]
        room.engine.between_bytes_s = 0.06
        room.engines["second"].before_headers = lambda: _after(0.1, b"")
        watch = asyncio.create_task(room.calls.watch(CallerLeft))
        await room.stream()
        watch.cancel()
        assert said(room) == "hello world"

    async def test_the_second_engines_silence_is_measured_by_its_own_setting(self) -> None:
        """Shorter or longer than the first one's."""
        room = Room(others=[second()])
        room.engine.before_headers = UpstreamError(model="m")
        room.engines["second"].reply._steps = [CONTENT, room.hang]
        room.engines["second"].between_bytes_s = 0.03
        watch = asyncio.create_task(room.calls.watch(CallerLeft))
        await room.stream()
        watch.cancel()
        assert error_event(room.sink.text) == "upstream_timeout"

    async def test_an_answer_that_flows_until_the_time_is_over_is_no_failure(self) -> None:
        """Of the engine: its breaker stays closed."""
        room = Room(breaker_failures=1)
        room.engine.reply._steps = [CONTENT, room.hang]
        room.engine.total_s = 0.03
        watch = asyncio.create_task(room.calls.watch(CallerLeft))
        await room.stream()
        watch.cancel()
        assert error_event(room.sink.text) == "upstream_timeout"
        assert room.router.states()["fake"] is State.CLOSED


def _after(seconds: float, outcome: bytes | Exception) -> asyncio.Future[bytes]:
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not future.done():
            future.set_result(outcome) if isinstance(outcome, bytes) else future.set_exception(outcome)

    asyncio.get_running_loop().call_later(seconds, end)
    return future


class TestBreaker:
    """Calls tell the breaker the truth, each once, and never hold its probe for longer than they must."""

    async def opened(self, monkeypatch: pytest.MonkeyPatch) -> Room:
        """A room whose engine has failed, and whose pause is over."""
        room = Room(breaker_failures=1)
        room.engine.before_headers = UpstreamError(model="m")
        with pytest.raises(UpstreamError):
            await room.whole()
        assert room.router.states()["fake"] is State.OPEN
        room.ledger.settlements.clear()
        later = asyncio.get_running_loop().time() + 10
        monkeypatch.setattr("minitoolai.services.routing._now", lambda: later)
        assert room.router.states()["fake"] is State.HALF_OPEN
        room.engine.before_headers = b""
        return room

    async def test_an_open_breaker_refuses_before_anything_is_held(self) -> None:
        """503 with the rest of the pause."""
        room = Room(breaker_failures=1)
        room.engine.before_headers = UpstreamError(model="m")
        with pytest.raises(UpstreamError):
            await room.whole()
        with pytest.raises(NoEngine) as caught:
            await room.whole()
        assert caught.value.retry_after_s == 5
        assert len(room.ledger.asked) == 1

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("where", ["headers", "reply"])
    async def test_a_probe_whose_caller_leaves_is_given_back(
        self, monkeypatch: pytest.MonkeyPatch, where: str, *, streamed: bool
    ) -> None:
        """The next call is the probe."""
        room = await self.opened(monkeypatch)
        if where == "headers":
            room.engine.before_headers = room.hang
        else:
            room.engine.reply._steps = [room.hang]
        task = asyncio.create_task(run(room, streamed=streamed))
        await room.there.wait()
        with pytest.raises(NoEngine):
            await room.whole()
        task.cancel()
        with pytest.raises(CallerLeft):
            await task
        room.engine.before_headers, room.engine.reply._steps = b"", [REPLY_WITH_USAGE]
        await room.whole()
        assert room.router.states()["fake"] is State.CLOSED

    @pytest.mark.parametrize("fault", [RuntimeError("a bug"), EngineRefusedRequest(model="m", where="")])
    async def test_a_probe_that_ends_otherwise_is_given_back(
        self, monkeypatch: pytest.MonkeyPatch, fault: Exception
    ) -> None:
        """By a bug of ours, or by a refusal, which shows that the engine lives."""
        room = await self.opened(monkeypatch)
        room.engine.before_headers = fault
        with pytest.raises(type(fault)):
            await room.whole()
        room.engine.before_headers, room.engine.reply._steps = b"", [REPLY_WITH_USAGE]
        await room.whole()

    async def test_others_go_through_once_the_probe_is_answered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A long stream need not end first."""
        room = await self.opened(monkeypatch)
        room.engine.reply._steps = [ROLE, CONTENT, room.hang]
        task = asyncio.create_task(room.stream())
        await room.there.wait()
        await asyncio.sleep(0)
        assert room.router.states()["fake"] is State.CLOSED
        room.engine.reply._steps = [REPLY_WITH_USAGE]
        await room.whole()
        task.cancel()
        with pytest.raises(CallerLeft):
            await task

    async def test_a_stream_that_breaks_off_is_a_failure_and_one_that_is_left_is_not(self) -> None:
        """After content."""
        broken = Room(CONTENT, UpstreamError(model="m"), breaker_failures=1)
        await broken.stream()
        assert broken.router.states()["fake"] is State.OPEN
        room = Room(breaker_failures=1)
        room.engine.reply._steps = [CONTENT, room.hang]
        task = asyncio.create_task(room.stream())
        await room.there.wait()
        task.cancel()
        with pytest.raises(CallerLeft):
            await task
        assert room.router.states()["fake"] is State.CLOSED

    async def test_an_engine_that_was_left_alone_meanwhile_is_passed_over(self) -> None:
        """The caller is told what it really failed of."""
        room = Room(others=[second()], breaker_failures=1)
        room.engine.before_headers = room.hang
        task = asyncio.create_task(room.whole())
        await room.there.wait()
        visit = room.router._breakers["second"].enter(0.0)
        assert visit is not None
        room.router._breakers["second"].failed(visit, asyncio.get_running_loop().time())
        (call,) = room.calls._calls.values()
        assert call.expire is not None
        call.interrupt(call.expire())
        with pytest.raises(UpstreamTimeout):
            await task
        assert room.engines["second"].limits == []

    async def test_none_can_be_entered_any_more(self) -> None:
        """Between the look at the engines and the call the only one was left alone: 503, nothing charged."""
        room = Room(REPLY_WITH_USAGE, breaker_failures=1)

        def open_it() -> None:
            breaker = room.router._breakers["fake"]
            ticket = breaker.enter(0.0)
            if ticket is not None:
                breaker.failed(ticket, asyncio.get_running_loop().time())

        room.ledger.answered = open_it
        with pytest.raises(NoEngine):
            await room.whole()
        await room.ended(0, CallOutcome.FAILED)
