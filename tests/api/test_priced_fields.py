"""Fields that change what a provider charges: refused without a price, held at the dearest, charged as served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.runtime.model_settings import ModelSettings, TierSettings
from tests.support.clients import BODY, OPENAI, SEED, Caller, Reply, shows
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import Asked, Handler, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Nano-dollars of a token read and written: usually, and by tier.
PRICES = {"default": (1000, 4000), "priority": (2000, 8000), "flex": (500, 2000)}
CACHED = 250
SEARCH = 10_000_000
PRICED = ModelSettings(
    engine="up", input_usd_per_1m="1", output_usd_per_1m="4", cached_input_usd_per_1m="0.25",
    service_tiers={"priority": TierSettings("2", "8"), "flex": TierSettings("0.5", "2")}, web_search_usd_per_call="0.01",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway with one model that has every price, beside the usual ones."""
    async with local_gateway(file_database_url, file_upstream.url, models={"priced": PRICED}) as started:
        yield started


def serving_at(tier: str | None, upstream: Upstream, **details: dict[str, int]) -> Handler:
    """An upstream that says it served the call at `tier`, with `details` of its usage."""
    shown = {**usage(upstream.prompt_tokens, len(upstream.words)), **details}

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        if not asked.body.get("stream"):
            return web.json_response({**completion("Alaska", shown), "service_tier": tier})
        frames = [frame.replace(b'"default"', json.dumps(tier).encode()) for frame in upstream.frames(asked)]
        return await upstream.stream(request, asked, frames)

    return answer


async def ask(caller: Caller, *, stream: bool = False, path: str = OPENAI, **fields: Any) -> Reply:
    """Call the model with prices."""
    return await caller.send(path, {**BODY, "model": "priced", "max_completion_tokens": 100, "stream": stream, **fields})


async def charged(gateway: LocalGateway, caller: Caller, cost: int) -> dict[str, Any]:
    """The caller paid that, nothing is held; return the usage record."""
    await gateway.settle()
    assert await gateway.books.balance(caller) == 5 * 10**9 - cost
    assert await gateway.books.held() == 0
    (record,) = await gateway.books.records(caller)
    assert record["cost"] == cost
    return record


@pytest.mark.parametrize("path", [OPENAI, SEED])
@pytest.mark.parametrize(
    "fields",
    [
        {"service_tier": "priority"}, {"service_tier": "flex"}, {"service_tier": 1}, {"web_search_options": {}},
        {"audio": {"voice": "alloy", "format": "mp3"}}, {"modalities": ["text", "audio"]},
        {"prediction": {"type": "content", "content": "x"}},
    ],
    ids=str,
)  # fmt: skip
async def test_without_a_price_the_field_is_refused(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, path: str, fields: dict[str, Any]
) -> None:
    """400 that names it, on both surfaces; nothing is asked or held."""
    (name,) = fields
    reply = await ask(caller, path=path, model="gpt-4o-mini", **fields)
    shows(reply, 400, "invalid_value", "invalid_request_error", name, "Omit it", param=name)
    assert upstream.asked == []
    assert await gateway.books.records(caller) == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", ["priority", "flex"])
@pytest.mark.parametrize("served", ["as asked", "default", "a\0b", None])
async def test_a_tier_is_charged_as_the_engine_served_it(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, asked: str, served: str | None, *, stream: bool
) -> None:
    """It may serve a call at its usual tier all the same, or say what no column holds; the hold covers both."""
    at = asked if served == "as asked" else served
    upstream.handler = serving_at(at, upstream)
    reply = await ask(caller, service_tier=asked, stream=stream, stream_options={"include_usage": True} if stream else None)
    assert reply.status == 200, reply.text
    assert upstream.asked[0].body["service_tier"] == asked
    read, written = PRICES[at if at == asked else "default"]
    record = await charged(gateway, caller, 17 * read + 9 * written)
    assert reply.cost_nusd == record["cost"]
    assert record["tier"] == (asked if at == asked else None)


async def test_a_tier_is_held_at_the_dearest(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """While the call runs."""
    holds: list[int] = []

    async def look(request: web.Request, asked: Asked) -> web.StreamResponse:
        rows = await gateway.books.fetch("SELECT held FROM accounts WHERE id = $1", caller.account_id)
        holds.append(int(rows[0]["held"]))
        return await upstream.answer(request, asked)

    upstream.handler = look
    for tier in ("auto", "flex", "priority"):
        assert (await ask(caller, service_tier=tier)).status == 200
    usual, flex, priority = holds
    assert usual == flex, "flex may be served at the usual prices, which are dearer"
    assert priority == 2 * (usual + 4 * PRICES["default"][0]), "the prompt is bounded by the bytes of the body"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_search_costs_its_fee_beside_the_tokens(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, *, stream: bool
) -> None:
    """Once a call; the record says how much of the cost it was."""
    reply = await ask(caller, web_search_options={"search_context_size": "low"}, stream=stream)
    assert reply.status == 200, reply.text
    assert upstream.asked[0].body["web_search_options"] == {"search_context_size": "low"}
    record = await charged(gateway, caller, SEARCH + 17 * 1000 + 9 * 4000)
    assert record["fees"] == SEARCH


async def test_a_search_that_fails_costs_nothing(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Nor does its fee stay held; a balance below the fee is refused."""

    async def fail(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({}, status=500)

    upstream.handler = fail
    assert (await ask(caller, web_search_options={})).status == 502
    assert (await charged(gateway, caller, 0))["fees"] == 0
    poor = await gateway.caller("0.009")
    shows(await ask(poor, web_search_options={}), 402, "insufficient_credit", "insufficient_quota")


@pytest.mark.parametrize("stream", [False, True])
async def test_cached_tokens_cost_their_own_price(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, *, stream: bool
) -> None:
    """As many as the engine says; the caller is shown how many those were."""
    details = {"cached_tokens": 12, "audio_tokens": 0}

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        shown = {**upstream.usage, "prompt_tokens_details": details}
        if not asked.body.get("stream"):
            return web.json_response(completion("Alaska", shown))
        frames = upstream.frames(asked)
        frames[-2] = frames[-2].replace(b'"cached_tokens":0', b'"cached_tokens":12')
        return await upstream.stream(request, asked, frames)

    upstream.handler = answer
    reply = await ask(caller, stream=stream, stream_options={"include_usage": True} if stream else None)
    assert reply.usage["prompt_tokens_details"]["cached_tokens"] == 12
    record = await charged(gateway, caller, 5 * 1000 + 12 * CACHED + 9 * 4000)
    assert (record["prompt_tokens"], record["cached_tokens"]) == (17, 12)


async def test_reasoning_effort_passes_and_reasoning_is_paid_once(
    gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """It is part of the completion."""
    upstream.handler = serving_at(
        "default", upstream, completion_tokens_details={"reasoning_tokens": 7, "accepted_prediction_tokens": 0}
    )
    reply = await ask(caller, reasoning_effort="low")
    assert upstream.asked[0].body["reasoning_effort"] == "low"
    assert reply.usage["completion_tokens_details"]["reasoning_tokens"] == 7
    record = await charged(gateway, caller, 17 * 1000 + 9 * 4000)
    assert (record["completion_tokens"], record["reasoning_tokens"]) == (9, 7)


async def test_reasoning_beside_the_completion_is_paid_too(
    gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """Where the engine's total says that it was counted apart."""
    apart = {**usage(17, 2), "total_tokens": 26, "completion_tokens_details": {"reasoning_tokens": 7}}

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response(completion("Alaska", apart))

    upstream.handler = answer
    reply = await ask(caller)
    assert reply.usage["completion_tokens"] == 9
    await charged(gateway, caller, 17 * 1000 + 9 * 4000)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ],
    ids=["audio", "file"],
)
@pytest.mark.parametrize("path", [OPENAI, SEED])
async def test_parts_that_no_model_takes(caller: Caller, upstream: Upstream, path: str, part: dict[str, Any]) -> None:
    """400 with the part's path, its kind and those that are taken."""
    content = [{"type": "text", "text": "What is this?"}, part]
    reply = await ask(caller, path=path, messages=[{"role": "user", "content": content}])
    words = (part["type"], "'text'", "'image_url'", "audio and files")
    shows(reply, 400, "invalid_value", "invalid_request_error", *words, param="messages[0].content[1].type")
    assert upstream.asked == []
