"""Calls for embeddings, and what they must cost."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from minitoolai.runtime.model_settings import ModelSettings
from tests.support.clients import Caller, Reply
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Handler

PATH = "/v1/embeddings"
SMALL = "text-embedding-3-small"
BODY: dict[str, Any] = {"model": SMALL, "input": ["hello world", "What's the largest U.S. state by area?"]}
#: The upstream counts 17 tokens, whatever came.
COST = 17 * 20
MODELS = {
    SMALL: ModelSettings(engine="up", aliases=("small",)),
    "theirs": ModelSettings(kind="embedding", engine="up", upstream="bge-m3", input_usd_per_1m="1", context_tokens=8),
    "text-embedding-3-large": ModelSettings(),
}


async def embed(caller: Caller, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """Call."""
    return await caller.send(PATH, {**BODY, **fields}, headers=headers)


def answering(status: int, body: object, **headers: str) -> Handler:
    """An upstream that answers so."""

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


async def charged(gateway: LocalGateway, caller: Caller, cost: int, records: int = 1) -> list[dict[str, Any]]:
    """The caller has paid that, nothing is held; return the usage records."""
    await gateway.settle()
    assert await gateway.books.balance(caller) == 5 * 10**9 - cost
    assert await gateway.books.held() == 0
    found = await gateway.books.records(caller)
    assert len(found) == records
    return found
