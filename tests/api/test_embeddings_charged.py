"""What a call for embeddings costs, however it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.runtime.settings import OpenAIEngineSettings
from tests.api.conftest import Serving
from tests.api.embedding_calls import BODY, COST, MODELS, PATH, SMALL, answering, charged, embed
from tests.support.clients import Caller, shows, until
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import Asked, Upstream, embeddings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that serves two embedding models beside those that chat."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, {}, (502, "upstream_error")), (401, {"error": {"message": "canary"}}, (502, "upstream_error")),
        (429, {"error": {"message": "canary"}}, (429, "rate_limit_exceeded")),
        (429, {"error": {"code": "insufficient_quota"}}, (503, "service_unavailable")),
        (200, {}, (502, "upstream_error")), (200, "canary", (502, "upstream_error")),
        (200, {"data": []}, (502, "upstream_error")), (200, {"error": {"message": "canary"}}, (502, "upstream_error")),
        (200, embeddings({"input": ["a"], "model": SMALL}, 17), (502, "upstream_error")),
        (200, {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": ["x"]}]}, (502, "upstream_error")),
    ],
    ids=lambda value: json.dumps(value)[:40],
)  # fmt: skip
async def test_an_upstream_that_fails_costs_nothing(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, status: int, body: object, expected: tuple[int, str]
) -> None:
    """Also one that says 200 and gives something else than was asked for."""
    upstream.handler = answering(status, body)
    reply = await embed(caller)
    assert (reply.status, reply.error["code"]) == expected
    assert "canary" not in reply.text
    await charged(gateway, caller, 0)


async def test_the_next_engine_stands_in(serving: Serving, upstream: Upstream) -> None:
    """One hold, one charge, by whoever answered."""
    async with Upstream() as second:
        upstream.handler = answering(503, {})
        engines = {"b": OpenAIEngineSettings(base_url=second.url, breaker_failures=0)}
        async with serving(engines=engines, models={SMALL: ModelSettings(engines=("up", "b"))}) as gateway:
            caller = await gateway.caller()
            assert (await embed(caller)).status == 200
            (record,) = await charged(gateway, caller, COST)
            assert record["engine"] == "b"


async def test_usage_that_is_missing_is_counted_and_usage_above_the_hold_is_not_believed(
    gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """By OpenAI's vocabulary; the hold is the most that a call costs."""
    upstream.handler = answering(200, {"data": [{"index": 0, "embedding": [1]}]})
    reply = await embed(caller, input="hello world")
    assert (reply.status, reply.json["usage"]["prompt_tokens"], reply.headers["x-minitoolai-cost"]) == (200, 2, "0.00000004")
    upstream.handler = answering(200, embeddings({"input": "x", "model": SMALL}, 10_000))
    reply = await embed(caller, input="hello world")
    assert reply.headers["x-minitoolai-cost"] == "0.00000022"
    await charged(gateway, caller, 2 * 20 + 11 * 20, records=2)
    assert await gateway.books.problems() == ()


async def test_a_cap_a_small_balance_and_a_key_for_few_tokens(gateway: LocalGateway, upstream: Upstream) -> None:
    """Each is measured at the exact count of 2 tokens, and refused before the engine is asked."""
    upstream.prompt_tokens = 2
    try:
        caller = await gateway.caller("0.00000005")
        assert (await embed(caller, {"x-max-cost": "0.00000004"}, input="hello world")).status == 200
        reply = await embed(caller, {"x-max-cost": "0.000000039"}, input="hello world")
        shows(reply, 402, "insufficient_credit", "insufficient_quota", "0.00000004 USD", param="x-max-cost")
        shows(await embed(caller, input="hello world"), 402, "insufficient_credit", "insufficient_quota", "0.00000001 USD")
        limited = await gateway.caller(tokens_per_minute=3)
        assert (await embed(limited, input="hello world")).status == 200
        reply = await embed(limited, input="hello world")
        shows(reply, 429, "rate_limit_exceeded", "rate_limit_error", "3 tokens a minute")
        assert int(reply.headers["retry-after"]) > 0
        assert len(upstream.asked) == 2
    finally:
        upstream.prompt_tokens = 17


async def test_a_repeated_call_runs_once(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """`Idempotency-Key`: the same bytes again, charged once; another body is 422; too large a reply is 400."""
    key = {"idempotency-key": "k"}
    first, again = await embed(caller, key), await embed(caller, key)
    assert again.body == first.body
    assert (again.headers["x-minitoolai-replayed"], again.headers["x-minitoolai-cost"]) == ("true", "0.00000034")
    assert "x-minitoolai-replayed" not in first.headers
    shows(
        await embed(caller, key, input="other"),
        422,
        "idempotency_mismatch",
        "invalid_request_error",
        param="idempotency-key",
    )
    large = await embed(caller, key, input=["a"] * 1000)
    shows(large, 400, "invalid_value", "invalid_request_error", "651 vectors", param="idempotency-key")
    assert len(upstream.asked) == 1
    await charged(gateway, caller, COST)


async def test_a_call_that_failed_may_be_repeated(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Its key is free again."""
    key = {"idempotency-key": "f"}
    upstream.handler = answering(500, {})
    assert (await embed(caller, key)).status == 502
    await gateway.settle()
    upstream.handler = upstream.answer
    assert (await embed(caller, key)).status == 200
    await charged(gateway, caller, COST, records=2)


@pytest.mark.parametrize(("begun", "cost"), [(False, 0), (True, 13 * 20)])
async def test_a_caller_that_leaves(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, *, begun: bool, cost: int
) -> None:
    """The engine is stopped; its work is charged where its headers had come, counted here."""

    async def slow(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = web.StreamResponse()
        if begun:
            await reply.prepare(request)
            await reply.write(b'{"data": [')
        await asyncio.sleep(60)
        return reply

    upstream.handler = slow
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(caller.request(PATH, BODY))
    await until(lambda: upstream.asked, "the upstream is asked")
    await asyncio.sleep(0.2)
    writer.transport.abort()
    await asyncio.wait_for(upstream.asked[0].left.wait(), 5)
    await charged(gateway, caller, cost)


async def test_what_is_quoted_is_what_is_held(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """By the exact count, in one line; the call's own options are no part of it."""
    quote = await caller.send("/v1/quotes", {**BODY, "input": ["hello world"], "encoding_format": "base64"})
    assert quote.json == {
        "object": "quote", "model": SMALL, "max_cost": "0.00000004", "max_completion_tokens": None,
        "lines": [{"what": "input tokens", "count": 2, "usd_per_1m": "0.02", "cost": "0.00000004"}],
    }  # fmt: skip
    assert upstream.asked == []
    await charged(gateway, caller, 0, records=0)
