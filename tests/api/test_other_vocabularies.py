"""Models whose vocabulary nobody here knows: their prompts are held at their bytes, whatever asks for a count."""

from __future__ import annotations

import pytest
from aiohttp import web

from minitoolai.runtime.model_settings import ModelSettings
from tests.api.conftest import Serving
from tests.support.clients import BODY, OPENAI
from tests.support.upstream import Asked, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: One token a character there, as with Llama 2; a fifth of that with OpenAI's vocabulary.
TEXT = "给主人留下些什么吧" * 200
MODEL = ModelSettings(
    engine="up", input_usd_per_1m="1", output_usd_per_1m="1", context_tokens=8000, max_completion_tokens=500
)


async def _answer(request: web.Request, asked: Asked) -> web.StreamResponse:
    """Say what such a model would have used."""
    return web.json_response(completion("hi", usage(len(asked.body["messages"][0]["content"]) + 10, 1)))


@pytest.mark.parametrize("headers", [{}, {"x-max-cost": "0.006"}], ids=["plain", "capped"])
async def test_a_dense_prompt_is_paid_whole(upstream: Upstream, serving: Serving, headers: dict[str, str]) -> None:
    """A cap or a small balance makes the gateway look closer, and never hold less than the call can use."""
    upstream.handler = _answer
    body = {**BODY, "model": "other", "max_completion_tokens": 10, "messages": [{"role": "user", "content": TEXT}]}
    async with serving(models={"other": MODEL}) as gateway:
        caller = await gateway.caller("0.006")
        reply = await caller.send(OPENAI, body, headers=headers)
        assert reply.status == 200
        await gateway.settle()
        (record,) = await gateway.books.records(caller)
        assert record["cost"] == (len(TEXT) + 10 + 1) * 1000 <= record["held"]
        assert await gateway.books.fetch("SELECT id FROM transfers WHERE kind = 5") == []


async def test_a_cap_below_the_bytes_refuses(upstream: Upstream, serving: Serving) -> None:
    """What the call could cost at most is its bytes, so a lower cap is 402 and nothing is asked."""
    body = {**BODY, "model": "other", "max_completion_tokens": 10, "messages": [{"role": "user", "content": TEXT}]}
    async with serving(models={"other": MODEL}) as gateway:
        reply = await (await gateway.caller()).send(OPENAI, body, headers={"x-max-cost": "0.004"})
        assert (reply.status, reply.error["param"]) == (402, "x-max-cost")
        assert upstream.asked == []
