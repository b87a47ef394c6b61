"""Usage that is missing or cannot be, and what an engine's settings change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt, count_text
from minitoolai.runtime.model_settings import ModelSettings
from tests.api.conftest import Serving
from tests.support.clients import BODY, Caller
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import WORDS, Asked, Upstream, chunk, completion, frame, usage, usage_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL_NUSD = 5 * 10**9
MINI = TokenPrices(150_000_000, 600_000_000)
PROMPT_TOKENS = count_prompt(BODY)
DONE = b"data: [DONE]\n\n"
START = [chunk({"role": "assistant", "content": ""}), chunk({"content": "The"}), chunk({"content": " largest"})]
STARTED_NUSD = MINI.cost_nusd(PROMPT_TOKENS, 2)
END = [chunk({}, finish_reason="stop"), usage_frame(usage(17, 2))]


SILLY: list[Any] = [
    None, {}, [], "17", {"prompt_tokens": -1, "completion_tokens": 9}, {"prompt_tokens": 17, "completion_tokens": -9},
    {"prompt_tokens": "17", "completion_tokens": 9}, {"prompt_tokens": 17.5, "completion_tokens": 9},
    {"prompt_tokens": True, "completion_tokens": 9}, {"prompt_tokens": 10**12, "completion_tokens": 9},
    {"prompt_tokens": 17, "completion_tokens": None}, {"completion_tokens": 9},
]  # fmt: skip


@pytest.mark.parametrize("told", SILLY, ids=json.dumps)
async def test_usage_that_cannot_be_is_not_billed_from(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, told: object
) -> None:
    """Then the gateway counts what was received, whole and streamed alike."""
    text = "".join(WORDS)
    cost = MINI.cost_nusd(PROMPT_TOKENS, count_text(text))

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        if asked.body.get("stream"):
            parts = [chunk({"content": word}) for word in WORDS]
            last = frame({"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": told})
            return await upstream.stream(request, asked, [*parts, chunk({}, finish_reason="stop"), last, DONE])
        return web.json_response({**completion(text, None), "usage": told})

    upstream.handler = answer
    for reply in (await caller.openai(), await caller.seed()):
        assert reply.status == 200
        assert reply.cost_nusd == cost
        assert reply.usage["completion_tokens"] == count_text(text)
        assert reply.usage["prompt_tokens"] == PROMPT_TOKENS
    records = await gateway.books.records(caller)
    assert [(r["cost"], r["counted_by_gateway"]) for r in records] == [(cost, True)] * 2


async def test_usage_of_zero_is_usage(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Zero is not the same as missing."""
    upstream.handler = _whole(completion("Alaska", usage(0, 0)))
    reply = await caller.openai()
    assert reply.usage["cost"] == 0
    assert reply.headers["x-minitoolai-cost"] == "0"
    (record,) = await gateway.books.records(caller)
    assert (record["cost"], record["counted_by_gateway"]) == (0, False)


async def test_usage_above_the_hold_costs_the_hold(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The excess goes to the loss account, and the operator hears of it."""
    upstream.handler = _whole(completion("Alaska", usage(50_000, 50_000)))
    reply = await caller.openai(max_completion_tokens=100)
    (record,) = await gateway.books.records(caller)
    assert reply.cost_nusd == record["cost"] == record["held"] < MINI.cost_nusd(1000, 100)
    assert await gateway.books.balance(caller) == FULL_NUSD - record["cost"]
    loss = await gateway.books.fetch("SELECT sum(amount) AS amount FROM transfers WHERE kind = 5 AND debit = 3")
    assert loss[0]["amount"] >= MINI.cost_nusd(50_000, 50_000) - record["cost"]
    assert "the operator bears the difference" in caplog.text
    assert await gateway.books.problems() == ()


def _whole(body: dict[str, Any]) -> Any:
    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response(body)

    return answer


# -- what an engine's settings change ---------------------------------------------------------------------------


async def test_an_upstream_that_knows_no_stream_options(serving: Serving, upstream: Upstream) -> None:
    """`stream_options = false`: it is not asked, and the gateway counts."""
    async with serving(engine={"stream_options": False}) as gateway:
        caller = await gateway.caller()
        reply = await caller.seed()
    assert "stream_options" not in upstream.asked[0].body
    assert reply.done
    assert reply.cost_nusd == MINI.cost_nusd(PROMPT_TOKENS, count_text("".join(WORDS)))


async def test_an_upstream_that_calls_the_limit_otherwise(serving: Serving, upstream: Upstream) -> None:
    """`max_tokens_field = "max_tokens"`."""
    async with serving(engine={"max_tokens_field": "max_tokens"}) as gateway:
        caller = await gateway.caller()
        await caller.openai(max_completion_tokens=12)
    assert upstream.asked[0].body["max_tokens"] == 12
    assert "max_completion_tokens" not in upstream.asked[0].body


async def test_an_upstreams_key_and_name(serving: Serving, upstream: Upstream) -> None:
    """Its own key goes to it, and the model under its name there."""
    models = {"mine": ModelSettings(engine="up", upstream="org/theirs", input_usd_per_1m="1", output_usd_per_1m="2")}
    async with serving(engine={"api_key_env": "UP_KEY"}, environment={"UP_KEY": "sk-upstream"}, models=models) as gateway:
        caller = await gateway.caller()
        reply = await caller.openai(model="mine")
    assert upstream.asked[0].headers["authorization"] == "Bearer sk-upstream"
    assert upstream.asked[0].body["model"] == "org/theirs"
    assert reply.cost_nusd == 17 * 1000 + 9 * 2000
    assert "sk-upstream" not in reply.text
