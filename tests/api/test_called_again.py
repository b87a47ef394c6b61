"""A call that failed is settled before its caller is told: who calls again at once finds money and key free."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from minitoolai.runtime.settings import ModelSettings
from tests.api.conftest import Serving
from tests.support.clients import BODY, OPENAI
from tests.support.upstream import Asked, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: So many calls, since what is tested is a race of milliseconds.
ROUNDS = 40
EMBEDDINGS = "/v1/embeddings"
TEXTS = {"model": "text-embedding-3-small", "input": "hello"}


@pytest.mark.parametrize(
    ("path", "body"), [(OPENAI, {**BODY, "stream": False}), (OPENAI, {**BODY, "stream": True}), (EMBEDDINGS, TEXTS)]
)
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
