"""What costs what (contract §7): calls that come to their end, and engines that do not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from minitoolai.core.errors import ApiError, RateLimited, ServerError, UpstreamError, UpstreamTimeout
from minitoolai.core.inference import Usage
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.sse import DONE, event
from minitoolai.services import chat_call as module
from minitoolai.services import metering
from tests.unit.services.room import (
    ANSWER,
    CONTENT,
    FLOOR,
    HALF,
    LAST,
    PROMPT,
    REPLY,
    REPLY_WITH_USAGE,
    ROLE,
    STREAM,
    USAGE,
    USAGE_COST,
    WHOLE,
    Room,
    error_event,
)


class TestWhole:
    """A reply in one piece."""

    @pytest.mark.parametrize("pieces", [1, 7])
    async def test_the_engines_usage_is_charged(self, pieces: int) -> None:
        """And shown with its cost; the balance after the capture goes with it."""
        size = -(-len(REPLY_WITH_USAGE) // pieces)
        room = Room(*[REPLY_WITH_USAGE[n : n + size] for n in range(0, len(REPLY_WITH_USAGE), size)])
        reply = await room.whole()
        assert (reply.cost_nusd, reply.balance_nusd) == (USAGE_COST, 10**6 - USAGE_COST)
        assert reply.body["usage"] == {**USAGE, "cost": USAGE_COST / 1e9}
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)
        assert not room.ledger.settlements[0].counted_by_gateway
        assert room.engine.reply.closed == 1

    async def test_the_gateway_counts_what_the_engine_does_not_report(self) -> None:
        """And says so in the record."""
        room = Room(REPLY)
        reply = await room.whole(replace(WHOLE, seed_fields=True))
        usage = reply.body["usage"]
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
        assert reply.body["usage"]["cost"] == held / 1e9
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

    async def test_usage_told_before_the_content_is_not_charged(self) -> None:
        """An engine that tells its usage at the beginning, and never again: the gateway counts."""
        early = event({"choices": [{"index": 0, "delta": {"role": "assistant"}}], "usage": USAGE})
        room = Room(early, CONTENT, CONTENT, DONE)
        await room.stream()
        await room.ended(PROMPT + 2 * 2 * ANSWER, CallOutcome.COMPLETED)

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
