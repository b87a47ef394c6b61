"""Silence and slowness, on either side of the gateway (contract §2)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import web

from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt
from minitoolai.services import calls
from tests.api.conftest import Serving
from tests.support.clients import BODY, Caller, ends_in_band, exchange_bytes, until
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, chunk, usage, usage_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL_NUSD = 5 * 10**9
MINI = TokenPrices(150_000_000, 600_000_000)
PROMPT_TOKENS = count_prompt(BODY)
DONE = b"data: [DONE]\n\n"
START = [chunk({"role": "assistant", "content": ""}), chunk({"content": "The"}), chunk({"content": " largest"})]
STARTED_NUSD = MINI.cost_nusd(PROMPT_TOKENS, 2)
END = [chunk({}, finish_reason="stop"), usage_frame(usage(17, 2))]


async def test_silence_is_filled_with_comments(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers after the first silence, a comment in each later one; programs skip them, and they cost nothing."""
    monkeypatch.setattr(calls, "KEEP_ALIVE_S", 0.3)
    monkeypatch.setattr(calls, "TICK_S", 0.05)
    await asyncio.sleep(0.6)  # the clock's present tick is still a long one

    async def slow(request: web.Request, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(1)
        reply = await upstream.begin(request)
        for part in [*START, *END, DONE]:
            await reply.write(part)
            await asyncio.sleep(0.5)
        return reply

    upstream.handler = slow
    reply = await caller.seed()
    assert reply.done
    assert reply.content == "The largest"
    assert reply.body.startswith(b": keep-alive\n\n")
    assert reply.text.count(": keep-alive\n\n") >= 4
    assert reply.cost_nusd == MINI.cost_nusd(17, 2)


async def test_a_refusal_after_the_first_comment_is_in_band(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status has gone out by then; nothing is charged."""
    monkeypatch.setattr(calls, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(calls, "TICK_S", 0.05)
    await asyncio.sleep(0.6)

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.json_response({"error": {"message": "canary"}}, status=500)

    upstream.handler = refuse
    reply = await caller.seed()
    ends_in_band(reply)
    assert (await gateway.books.record(caller))["cost"] == 0


async def test_an_upstream_that_falls_silent_is_cut(serving: Serving, upstream: Upstream) -> None:
    """`between_bytes_s`: an error event, what came is charged, the upstream's connection is closed."""
    upstream.handler = _stuck_after(START)
    async with serving(engine={"between_bytes_s": 0.5}) as gateway:
        caller = await gateway.caller()
        ends_in_band(await caller.seed(), "upstream_timeout")
        record = await gateway.books.record(caller)
        assert (record["cost"], record["outcome"]) == (STARTED_NUSD, 2)
    await asyncio.wait_for(upstream.asked[0].left.wait(), 5)


async def test_a_call_that_takes_too_long_in_all_is_cut(serving: Serving, upstream: Upstream) -> None:
    """`total_s`, although bytes keep coming; streamed in-band, whole as 504 and free."""
    upstream.words = ["word "] * 1000
    upstream.pause_s = 0.05

    async def whole(request: web.Request, asked: Asked) -> web.StreamResponse:
        if asked.body.get("stream"):
            return await upstream.stream(request, asked)
        reply = web.StreamResponse(headers={"content-type": "application/json"})
        await reply.prepare(request)
        while True:
            await reply.write(b" ")
            await asyncio.sleep(0.05)

    upstream.handler = whole
    async with serving(engine={"total_s": 1.0}) as gateway:
        caller = await gateway.caller()
        streamed = await caller.seed()
        ends_in_band(streamed, "upstream_timeout")
        assert (await gateway.books.record(caller))["cost"] > MINI.cost_nusd(PROMPT_TOKENS, 2)
        other = await gateway.caller()
        late = await other.openai()
        assert (late.status, late.error["code"]) == (504, "upstream_timeout")
        assert (await gateway.books.record(other))["cost"] == 0


async def test_a_drained_stream_ends_in_band_and_is_charged(
    gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """A process that ends cuts its streams after a time: 503's code in an event, what came is charged."""
    from minitoolai.core.errors import Draining

    upstream.handler = _stuck_after(START)
    call = asyncio.create_task(caller.seed())
    await until(lambda: gateway.inside.calls.produced() and max(gateway.inside.calls.produced().values()), "content")
    gateway.inside.calls.interrupt_all(lambda: Draining(retry_after_s=2))
    ends_in_band(await call, "service_unavailable")
    assert (await gateway.books.record(caller))["cost"] == STARTED_NUSD


async def test_a_caller_that_takes_nothing_is_cut(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that nobody reads ends, its upstream too; the whole reply's connection does not stay either."""
    monkeypatch.setattr(calls, "STALLED_CALLER_S", 0.5)
    upstream.words = ["x" * 65536] * 400
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
    writer.write(caller.request("/api/chat-completions/", {**BODY, "max_completion_tokens": 16_000}))
    await until(lambda: upstream.asked, "the call came")
    await asyncio.wait_for(upstream.asked[0].left.wait(), 10)
    await gateway.settle()
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    assert (await gateway.books.record(caller))["outcome"] == 3
    del reader


async def test_two_requests_in_one_packet_are_answered_in_turn(gateway: LocalGateway, caller: Caller) -> None:
    """Pipelining: each reply in its order."""
    one = caller.request("/v1/chat/completions", BODY)
    two = caller.request("/v1/nowhere", BODY, "connection: close")
    raw = await exchange_bytes(gateway.port, one + two)
    assert raw.count(b"HTTP/1.1 ") == 2
    assert raw.index(b"HTTP/1.1 200") < raw.index(b"HTTP/1.1 404")


def _stuck_after(parts: list[bytes]) -> Any:
    async def stuck(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        await reply.write(b"".join(parts))
        await asyncio.sleep(60)
        return reply

    return stuck
