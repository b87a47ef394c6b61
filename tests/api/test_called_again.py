"""Calls that are sent again: a failed one is settled before its caller is told, so that money and key are free; the reply of
one that ended well is there whatever has become of its engine."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from minitoolai.runtime.model_settings import ModelSettings
from tests.api.conftest import Serving
from tests.support.clients import BODY, OPENAI
from tests.support.upstream import Asked, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: So many calls, since what is tested is a race of milliseconds.
ROUNDS = 40
EMBEDDINGS = "/v1/embeddings"
TEXTS = {"model": "text-embedding-3-small", "input": "hello"}
CALLS = [(OPENAI, {**BODY, "stream": False}), (OPENAI, {**BODY, "stream": True}), (EMBEDDINGS, TEXTS)]


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_a_failed_call_may_be_repeated_at_once(
    serving: Serving, upstream: Upstream, path: str, body: dict[str, object]
) -> None:
    """With the same Idempotency-Key, and with money for one call."""

    async def fail(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": {}}, status=500)

    upstream.handler = fail
    most = {"max_completion_tokens": 10} if path == OPENAI else {}
    async with serving(models={"text-embedding-3-small": ModelSettings(engine="up")}) as gateway:
        caller = await gateway.caller(credit_usd="0.00000003" if path == EMBEDDINGS else "0.00001")
        found: Counter[int] = Counter()
        async with aiohttp.ClientSession() as session:
            for _ in range(ROUNDS):
                headers = {"authorization": f"Bearer {caller.key}", "idempotency-key": str(uuid4())}
                for _ in range(2):
                    async with session.post(gateway.base + path, json={**body, **most}, headers=headers) as reply:
                        await reply.read()
                        found[reply.status] += 1
        assert found == {502: 2 * ROUNDS}
        assert await gateway.books.held() == 0


@pytest.mark.parametrize(("path", "body"), [*CALLS, ("/v1/messages", {**BODY, "max_tokens": 50, "stream": True})])
async def test_a_kept_reply_needs_no_engine(
    serving: Serving, upstream: Upstream, path: str, body: dict[str, object]
) -> None:
    """While the model's only engine is left alone a repeated call gets its reply; another one is 503."""

    async def fail(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": {}}, status=500)

    models = {"text-embedding-3-small": ModelSettings(engine="up")}
    async with serving(models=models, engine={"breaker_failures": 1}) as gateway:
        caller = await gateway.caller()
        first = await caller.send(path, body, headers={"idempotency-key": "a"})
        assert first.status == 200
        upstream.handler = fail
        assert (await caller.send(path, body)).status == 502
        repeated = await caller.send(path, body, headers={"idempotency-key": "a"})
        assert (repeated.status, repeated.headers["x-minitoolai-replayed"]) == (200, "true")
        other = await caller.send(path, body, headers={"idempotency-key": "b"})
        assert other.status == 503
        assert b"'%s'" % str(body["model"]).encode() in other.body
        assert len(upstream.asked) == 2
