"""What costs what (contract §7): each row of the table, whole and streamed, interrupted wherever a call waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from minitoolai.core.catalog import Catalog, ChatModel
from minitoolai.core.errors import (
    ApiError,
    CallerLeft,
    ContextLengthExceeded,
    CostCapExceeded,
    DatabaseUnavailable,
    Draining,
    InsufficientCredit,
    MiniToolError,
    ModelNotAllowed,
    ModelNotFound,
    NoEngine,
    RateLimited,
    ServerError,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.inference import ChatRequest, Usage
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.sse import DONE, event
from minitoolai.core.tokens import prompt_tokens_floor
from minitoolai.services import chat_call as module
from minitoolai.services import metering
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat import Chat, WholeReply
from minitoolai.services.metering import Metering, new_call_id
from tests.support.fakes import ACCOUNT_ID, FakeEngine, FakeLedger, FakeSink, principal

#: 1 nano-dollar a prompt token, 2 a completion token.
MODEL = ChatModel("m", TokenPrices(1_000_000, 2_000_000), 1000, 500, engine="fake", aliases=("alias",))
BODY = {"messages": [{"role": "user", "content": "hello world"}]}
#: What the gateway counts for `BODY`, and for "hello world" as an answer.
PROMPT, ANSWER = 9, 2
#: What it takes the prompt for while it may not stop to count.
FLOOR = prompt_tokens_floor(BODY)
WHOLE = ChatRequest(
    "m", BODY, body_bytes=100, stream=False, max_completion_tokens=100, default_completion_tokens=400, choices=1,
    include_usage=False, seed_fields=False,
)  # fmt: skip
STREAM = replace(WHOLE, stream=True, include_usage=True)

USAGE = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}
USAGE_COST = 20 + 2 * 30
REPLY = json.dumps({"id": "c", "choices": [{"message": {"role": "assistant", "content": "hello world"}}]}).encode()
REPLY_WITH_USAGE = json.dumps({**json.loads(REPLY), "usage": USAGE}).encode()
HALF = REPLY[: REPLY.index(b"hello world") + len(b"hello world")]
ROLE = event({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
CONTENT = event({"id": "c", "choices": [{"index": 0, "delta": {"content": "hello world"}}]})
LAST = event({"id": "c", "choices": [], "usage": USAGE})


class Room:
    """A chat with one engine, and a way to stop it anywhere."""

    def __init__(self, *steps: Any, balance: int = 10**6, counted: Usage | None = None) -> None:
        self.ledger = FakeLedger(balance)
        self.engine = FakeEngine(*steps, counted=counted, prompt_tokens=PROMPT)
        self.calls = OpenCalls()
        catalog = Catalog([MODEL, replace(MODEL, id="other", engine="elsewhere", aliases=())])
        self.chat = Chat(catalog, {"fake": self.engine}, Metering(self.ledger), self.calls)
        self.sink = FakeSink()
        #: Set when the call has come to where it is stopped.
        self.there = asyncio.Event()

    async def whole(self, request: ChatRequest = WHOLE) -> WholeReply:
        """Run a whole call."""
        return await self.chat.whole(principal(), new_call_id(), request)

    async def stream(self, request: ChatRequest = STREAM) -> None:
        """Run a streamed call."""
        await self.chat.stream(principal(), new_call_id(), request, self.sink)

    def hang(self) -> asyncio.Future[bytes]:
        """A step that never ends."""
        self.there.set()
        return asyncio.get_running_loop().create_future()

    async def ended(self, cost: int, outcome: CallOutcome) -> None:
        """Assert that the call was settled exactly once, so, and that nothing is left of it."""
        self.ledger.paused = False
        await asyncio.sleep(0.005)
        (settlement,) = self.ledger.settlements
        (result,) = self.ledger.results
        assert (settlement.cost_nusd, settlement.outcome) == (cost, outcome)
        assert result.charged_nusd == cost
        assert settlement.hold_id == self.ledger.asked[-1].id
        assert self.ledger.balance == 10**6 - cost
        assert self.ledger.held == 0
        assert len(self.calls) == 0
        if cost:
            assert (settlement.input_nusd_per_1m, settlement.output_nusd_per_1m) == (1_000_000, 2_000_000)

    async def refused(self, error: type[MiniToolError], run: Callable[[], Any]) -> MiniToolError:
        """Assert that a call fails before anything was held."""
        with pytest.raises(error) as caught:
            await run()
        assert type(caught.value) is error
        assert self.ledger.settlements == []
        assert self.ledger.held == 0
        assert self.engine.limits == []
        assert len(self.calls) == 0
        return caught.value


def error_event(text: str) -> str:
    """The code of the error event that ends a stream."""
    last = text.strip().split("\n\n")[-1].removeprefix("data: ")
    return str(json.loads(last)["error"]["code"])


class TestWhole:
    """A reply in one piece."""

    @pytest.mark.parametrize("pieces", [1, 7])
    async def test_the_engines_usage_is_charged(self, pieces: int) -> None:
        """And shown with its cost; the balance after the capture goes with it."""
        size = -(-len(REPLY_WITH_USAGE) // pieces)
        room = Room(*[REPLY_WITH_USAGE[n : n + size] for n in range(0, len(REPLY_WITH_USAGE), size)])
        reply = await room.whole()
        assert (reply.cost_nusd, reply.balance_nusd) == (USAGE_COST, 10**6 - USAGE_COST)
        assert json.loads(reply.body)["usage"] == {**USAGE, "cost": USAGE_COST / 1e9}
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)
        assert not room.ledger.settlements[0].counted_by_gateway
        assert room.engine.reply.closed == 1

    async def test_the_gateway_counts_what_the_engine_does_not_report(self) -> None:
        """And says so in the record."""
        room = Room(REPLY)
        reply = await room.whole(replace(WHOLE, seed_fields=True))
        usage = json.loads(reply.body)["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (PROMPT, ANSWER)
        assert usage["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 0}
        await room.ended(PROMPT + 2 * ANSWER, CallOutcome.COMPLETED)
        assert room.ledger.settlements[0].counted_by_gateway

    @pytest.mark.parametrize(
        "failure",
        [b"<html>", b"[]", b'{"choices":5}', b'{"choices":[],"error":{"message":"x"}}', b'{"a":"\xff"}', b"",
         b"[" * 100_000, HALF, UpstreamError(model="m"), UpstreamTimeout(model="m")],
    )  # fmt: skip
    async def test_an_engine_that_fails_costs_nothing(self, failure: Any) -> None:
        """Even if it had sent half of an answer."""
        room = Room(failure) if not isinstance(failure, Exception) else Room(HALF, failure)
        with pytest.raises((UpstreamError, UpstreamTimeout)):
            await room.whole()
        await room.ended(0, CallOutcome.FAILED)
        assert room.engine.reply.closed == 1

    async def test_an_endless_reply_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At a size that no answer has."""
        monkeypatch.setattr(module, "MAX_REPLY_BYTES", 100)
        room = Room(b" " * 60, b" " * 60)
        with pytest.raises(UpstreamError):
            await room.whole()
        await room.ended(0, CallOutcome.FAILED)

    async def test_a_database_that_is_slow_at_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reply goes without a balance, its cost as it will be; the settlement is taken later."""
        monkeypatch.setattr(metering, "SETTLE_WAIT_S", 0.005)
        for usage, cost in ((USAGE, USAGE_COST), ({"prompt_tokens": 10**6, "completion_tokens": 1}, 316)):
            room = Room(json.dumps({"choices": [], "usage": usage}).encode())
            room.ledger.answered = lambda room=room: setattr(room.ledger, "paused", True)  # type: ignore[misc]
            reply = await room.whole()
            assert (reply.cost_nusd, reply.balance_nusd) == (cost, None)
            room.ledger.paused = False
            room.ledger.answered = lambda: None
            await asyncio.sleep(0.005)
            assert room.ledger.balance == 10**6 - cost

    async def test_a_database_that_refuses_the_settlement(self) -> None:
        """The caller is not told that all is well."""
        room = Room(REPLY_WITH_USAGE)
        room.ledger.refuse = ServerError()
        with pytest.raises(ServerError):
            await room.whole()
        assert len(room.ledger.settlements) == 1
        assert len(room.calls) == 0

    async def test_usage_above_the_hold_is_not_the_callers(self) -> None:
        """The charge is the hold, in the body as in the ledger."""
        usage = {"prompt_tokens": 100_000, "completion_tokens": 5}
        room = Room(json.dumps({"choices": [], "usage": usage}).encode())
        reply = await room.whole()
        held = room.ledger.model.ended[room.ledger.asked[0].id][0]
        assert reply.cost_nusd == held == 100 + 16 + 2 * 100
        assert json.loads(reply.body)["usage"]["cost"] == held / 1e9
        assert room.ledger.model.loss == 100_010 - held


class TestStream:
    """A reply as it comes."""

    @pytest.mark.parametrize("include_usage", [True, False])
    async def test_usage_and_done_come_after_the_capture(self, *, include_usage: bool) -> None:
        """Content before it."""
        room = Room(ROLE, CONTENT, LAST + DONE)
        settled_at: list[int] = []
        room.ledger.answered = lambda: settled_at.append(len(room.sink.written))
        await room.stream(replace(STREAM, include_usage=include_usage))
        assert settled_at == [0, 2]
        assert room.sink.written[:2] == [ROLE, CONTENT]
        *usage, done = room.sink.text.split("\n\n")[2:-1]
        assert done == "data: [DONE]"
        assert len(usage) == include_usage
        if include_usage:
            shown = json.loads(usage[0].removeprefix("data: "))
            assert (shown["id"], shown["usage"]) == ("c", {**USAGE, "cost": USAGE_COST / 1e9})
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)

    @pytest.mark.parametrize("counted", [None, Usage(50, 60)])
    async def test_without_usage_somebody_counts(self, counted: Usage | None) -> None:
        """The engine if it can, else the gateway."""
        room = Room(ROLE, CONTENT, DONE, counted=counted)
        await room.stream()
        await room.ended(PROMPT + 2 * ANSWER if counted is None else 170, CallOutcome.COMPLETED)
        assert room.ledger.settlements[0].counted_by_gateway

    @pytest.mark.parametrize(
        "failure",
        [
            b"",
            UpstreamError(model="m"),
            RateLimited(model="m"),
            event({"error": {"message": "x"}}),
            b"data: <html>\n\n",
        ],
    )
    async def test_before_the_first_content_a_failure_costs_nothing(self, failure: Any) -> None:
        """Nothing has gone out, so it is a status; a role is no content."""
        room = Room(failure)
        with pytest.raises(ApiError):
            await room.stream()
        assert room.sink.written == []
        await room.ended(0, CallOutcome.FAILED)
        room = Room(ROLE, failure)
        await room.stream()
        assert room.sink.written[0] == ROLE
        assert error_event(room.sink.text) in ("upstream_error", "rate_limit_exceeded")
        await room.ended(0, CallOutcome.FAILED)

    @pytest.mark.parametrize(
        ("failure", "cost"),
        [
            (b"", PROMPT + 2 * ANSWER), (UpstreamError(model="m"), PROMPT + 2 * ANSWER),
            (event({"error": {"message": "x"}}), PROMPT + 2 * ANSWER), (LAST, USAGE_COST),
            (CONTENT + event({"error": "x"}), PROMPT + 2 * 4),
        ],
    )  # fmt: skip
    async def test_after_the_first_content_it_costs_what_was_received(self, failure: Any, cost: int) -> None:
        """The stream ends with an error event and without [DONE]."""
        room = Room(CONTENT, failure)
        await room.stream()
        assert error_event(room.sink.text) == "upstream_error"
        assert "[DONE]" not in room.sink.text
        await room.ended(cost, CallOutcome.CUT)
        assert room.engine.reply.closed >= 1

    async def test_content_and_error_in_one_read(self) -> None:
        """What is charged has been sent."""
        room = Room(CONTENT + event({"error": "x"}))
        await room.stream()
        assert room.sink.written[0] == CONTENT
        await room.ended(PROMPT + 2 * ANSWER, CallOutcome.CUT)

    async def test_the_settlement_is_refused_at_the_end(self) -> None:
        """An error event in place of [DONE]."""
        room = Room(CONTENT, LAST + DONE)
        room.ledger.refuse = ServerError()
        await room.stream()
        assert error_event(room.sink.text) == "server_error"
        assert len(room.ledger.settlements) == 1

    async def test_what_a_stream_has_produced_is_known_while_it_flows(self) -> None:
        """Nothing before its first content, then a token a chunk or the engine's own count."""
        for counted, cost in ((None, FLOOR + 2 * 2), (Usage(50, 60), 170)):
            room = Room(counted=counted)
            seen: list[list[int]] = []

            def look(room: Room = room, seen: list[list[int]] = seen) -> asyncio.Future[bytes]:
                seen.append(list(room.calls.produced().values()))
                done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
                done.set_result(CONTENT)
                return done

            room.engine.reply._steps = [ROLE, look, look, look, DONE]
            await room.stream()
            assert seen == [[0], [FLOOR + 2 if counted is None else 170], [cost]]


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


class TestBefore:
    """What happens before the engine is called."""

    @pytest.mark.parametrize(
        ("request_", "error"),
        [(replace(WHOLE, model="gpt-9"), ModelNotFound), (replace(WHOLE, model="other"), NoEngine)],
    )
    async def test_a_model_that_cannot_answer(self, request_: ChatRequest, error: type[MiniToolError]) -> None:
        """Refused without a hold."""
        room = Room()
        await room.refused(error, lambda: room.whole(request_))
        assert room.ledger.asked == []

    async def test_a_key_for_other_models(self) -> None:
        """Asked for by an alias, told by its id."""
        room = Room()
        caller = principal(models=frozenset({"alias"}))
        alias = replace(WHOLE, model="alias")
        error = await room.refused(ModelNotAllowed, lambda: room.chat.whole(caller, new_call_id(), alias))
        assert error.facts["model"] == "m"

    async def test_the_database_is_away(self) -> None:
        """No engine is called."""
        room = Room()
        room.ledger.away = True
        await room.refused(DatabaseUnavailable, room.whole)

    async def test_a_caller_that_leaves_while_its_hold_is_made(self) -> None:
        """No engine is called, nothing is held."""
        room = Room(REPLY)
        room.ledger.paused = True
        task = asyncio.create_task(room.whole())
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        room.ledger.paused = False
        await asyncio.sleep(0.005)
        assert (room.ledger.held, room.engine.limits) == (0, [])

    async def test_an_explicit_limit_is_never_lowered(self) -> None:
        """402 with the exact amounts when it cannot be paid, and told to the engine as it is when it can."""
        cost = PROMPT + 2 * 100
        room = Room(balance=cost - 1)
        error = await room.refused(InsufficientCredit, room.whole)
        assert error.facts["needed"] == "0.000000209"
        assert room.engine.counts == 1
        room = Room(REPLY, balance=cost)
        await room.whole()
        assert room.engine.limits == [100]

    async def test_a_small_balance_shortens_an_answer_that_has_no_limit(self) -> None:
        """By the exact count of the prompt, so that nothing is cut off for a coarse bound."""
        open_ = replace(WHOLE, max_completion_tokens=None)
        for balance in (PROMPT + 2 * 16, PROMPT + 2 * 50, PROMPT + 2 * 50 + 1, 300, 600):
            room = Room(REPLY_WITH_USAGE, balance=balance)
            await room.whole(open_)
            assert room.engine.limits == [min((balance - PROMPT) // 2, 400)]
        room = Room(balance=PROMPT + 2 * 16 - 1)
        await room.refused(InsufficientCredit, lambda: room.whole(open_))
        room = Room(REPLY)
        await room.whole(open_)
        assert (room.engine.limits, room.engine.counts) == ([400], 0)

    async def test_choices_share_what_is_there(self) -> None:
        """Each is told its part."""
        room = Room(REPLY_WITH_USAGE, balance=PROMPT + 2 * 4 * 50)
        await room.whole(replace(WHOLE, max_completion_tokens=None, choices=4))
        assert room.engine.limits == [50]

    async def test_a_coarse_bound_is_counted_when_it_matters(self) -> None:
        """A prompt that may be too long for the model; a hold that would take a large share of what is left."""
        room = Room(REPLY)
        await room.whole(replace(WHOLE, body_bytes=2000))
        assert room.engine.counts == 1
        room = Room(REPLY)
        room.engine.prompt_tokens = 1001
        await room.refused(ContextLengthExceeded, lambda: room.whole(replace(WHOLE, body_bytes=2000)))
        room = Room(REPLY, balance=1000)
        for counts in (0, 1):
            room.engine.reply._steps = [REPLY]
            await room.whole()
            assert room.engine.counts == counts

    async def test_a_cap_is_checked_before_the_hold(self) -> None:
        """`x-max-cost`."""
        room = Room()
        await room.refused(CostCapExceeded, lambda: room.whole(replace(WHOLE, max_cost_nusd=5)))
        assert room.ledger.asked == []

    async def test_what_accounts_had_left_is_forgotten_in_the_end(self) -> None:
        """Memory is bounded."""
        room = Room(REPLY)
        room.chat._last_available = dict.fromkeys(range(100_001), 5)
        await room.whole()
        assert list(room.chat._last_available) == [ACCOUNT_ID]
