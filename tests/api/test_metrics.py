"""`/metrics`: what calls leave there, and who may read it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Serving
from tests.support.clients import BODY, OPENAI, Caller, Reply, exchange_bytes, parse_reply, shows, until
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = {"environment": {"SCRAPE_TOKEN": "a-long-token"}, "server": {"metrics_token_env": "SCRAPE_TOKEN"}}


def value(reply: Reply, name: str, **labels: str) -> float:
    """Return the sum of the samples that have these labels."""
    assert reply.status == 200
    samples = [sample for family in text_string_to_metric_families(reply.text) for sample in family.samples]
    return sum(
        sample.value for sample in samples if sample.name == f"minitoolai_{name}" and labels.items() <= sample.labels.items()
    )


async def test_calls_are_counted(serving: Serving) -> None:
    """Whole, streamed and refused calls show by route, status and error; tokens and money as they were charged."""
    async with serving() as gateway:
        caller = await gateway.caller()
        whole, stream = await caller.openai(), await caller.seed()
        await caller.openai(model="none-such")
        await caller.openai(temperature=9)
        await Caller(caller.base, "sk-wrong", "", 0, 0).openai()
        await gateway.settle()
        page = await caller.get("/metrics")
        assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        chat = "POST /v1/chat/completions"
        assert value(page, "requests_total", route=chat, status="200", error="") == 1
        assert value(page, "requests_total", route="POST /api/chat-completions", status="200") == 1
        assert value(page, "requests_total", route=chat, status="404", error="model_not_found") == 1
        assert value(page, "requests_total", route=chat, status="400", error="invalid_value") == 1
        assert value(page, "requests_total", route=chat, status="401", error="invalid_api_key") == 1
        assert value(page, "calls_total", model="gpt-4o-mini", engine="up", outcome="completed") == 2
        assert value(page, "time_to_first_token_seconds_count", model="gpt-4o-mini") == 1
        tokens = whole.usage["completion_tokens"] + stream.usage["completion_tokens"]
        assert value(page, "tokens_total", kind="completion") == tokens
        assert round(value(page, "cost_usd_total") * 10**9) == whole.cost_nusd + stream.cost_nusd
        assert value(page, "request_duration_seconds_count", route=chat, model="unknown") == 1
        for gauge in ("open_calls", "holds_open", "held_usd", "settlements_pending"):
            assert value(page, gauge) == 0
        assert value(page, "engine_state", engine="up", state="closed") == 1
        assert value(page, "database_up") == 1
        assert "none-such" not in page.text
        assert "sk-wrong" not in page.text


async def test_quotes_and_counts_show_their_model(serving: Serving) -> None:
    """Though no money is held for them; one that is not there shows as unknown."""
    asked = {"/v1/quotes": BODY, "/v1/messages/count_tokens": BODY}
    async with serving() as gateway:
        caller = await gateway.caller()
        for path, body in asked.items():
            assert (await caller.send(path, dict(body))).status == 200
            assert (await caller.send(path, {**body, "model": "none-such"})).status == 404
        page = await caller.get("/metrics")
        for path in asked:
            for model in ("gpt-4o-mini", "unknown"):
                assert value(page, "request_duration_seconds_count", route=f"POST {path}", model=model) == 1
        assert value(page, "calls_total") == 0


async def test_open_calls_and_their_money_show(serving: Serving, upstream: Upstream) -> None:
    """While a call runs its hold is in the gauges."""
    go_on = asyncio.Event()

    async def waits(request: web.Request, asked: Asked) -> web.StreamResponse:
        await go_on.wait()
        return await upstream.answer(request, asked)

    upstream.handler = waits
    async with serving() as gateway:
        caller = await gateway.caller()
        call = asyncio.create_task(caller.openai(max_completion_tokens=1000))
        await until(gateway.books.held, "the hold")
        await asyncio.sleep(1.1)  # the gauges are read once a second
        page = await caller.get("/metrics")
        held = await gateway.books.held()
        go_on.set()
        await call
    assert value(page, "open_calls") == value(page, "holds_open") == 1
    assert round(value(page, "held_usd") * 10**9) == held > 0


async def test_failing_engines_show(serving: Serving, upstream: Upstream) -> None:
    """Each failed attempt is counted with its engine and why; an open breaker shows."""

    async def fails(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": {"message": "canary"}}, status=500)

    upstream.handler = fails
    async with serving(engine={"breaker_failures": 2}) as gateway:
        caller = await gateway.caller()
        for _ in range(3):
            await caller.openai()
        page = await caller.get("/metrics")
    assert value(page, "engine_failures_total", engine="up", error="upstream_error") == 2
    assert value(page, "calls_total", outcome="failed") == 2
    assert value(page, "requests_total", status="503", error="service_unavailable") == 1
    assert value(page, "engine_state", engine="up", state="open") == 1
    assert "canary" not in page.text


async def test_a_stream_that_breaks_has_its_error(serving: Serving, upstream: Upstream) -> None:
    """An error after the headers is counted beside the status that had gone out."""

    async def breaks(request: web.Request, asked: Asked) -> web.StreamResponse:
        return await upstream.stream(request, asked, [b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'])

    upstream.handler = breaks
    async with serving() as gateway:
        caller = await gateway.caller()
        await caller.openai(stream=True)
        page = await caller.get("/metrics")
    assert value(page, "requests_total", status="200", error="upstream_error") == 1
    assert value(page, "calls_total", outcome="cut") == 1


async def test_callers_who_leave_show(serving: Serving, upstream: Upstream) -> None:
    """A caller who is gone before any reply is counted once, as nginx does it."""

    async def hangs(request: web.Request, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(60)
        return await upstream.answer(request, asked)

    upstream.handler = hangs
    async with serving() as gateway:
        caller = await gateway.caller()
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(caller.request(OPENAI, BODY))
        await until(lambda: upstream.asked, "the call is on its way")
        writer.close()
        await gateway.settle()
        page = await caller.get("/metrics")
    assert value(page, "requests_total", route="POST /v1/chat/completions") == 1
    assert value(page, "requests_total", status="499", error="") == 1
    assert value(page, "calls_total") == value(page, "calls_total", outcome="abandoned") == 1


@pytest.mark.parametrize(
    "header", ["x-forwarded-for: 127.0.0.1", "forwarded: for=127.0.0.1", "x-real-ip: ::1", "via: 1.1 p"]
)
async def test_a_proxys_callers_are_not_local(gateway: LocalGateway, header: str) -> None:
    """Behind a proxy every peer is this machine: whoever was forwarded needs the token."""
    raw = f"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n\r\n".encode()
    shows(parse_reply(await exchange_bytes(gateway.port, raw)), 403, "permission_denied", "permission_error", "token")


async def test_a_token_lets_others_in(serving: Serving) -> None:
    """With the operator's token the page is read from anywhere; with another, or a caller's key, it is not."""
    elsewhere = {"x-forwarded-for": "203.0.113.7"}
    async with serving(**TOKEN) as gateway:
        caller = await gateway.caller()
        given = {**elsewhere, "authorization": "Bearer a-long-token"}
        assert (await caller.send("/metrics/", method="GET", headers=given)).status == 200
        for wrong in ("Bearer a-long-tokem", "Bearer ", "a-long-token", f"Bearer {caller.key}"):
            reply = await caller.send("/metrics", method="GET", headers={**elsewhere, "authorization": wrong})
            assert reply.status == 403
        assert (await caller.get("/metrics")).status == 200
