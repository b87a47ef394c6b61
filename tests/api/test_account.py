"""What a key may ask beside its calls: models, balance, health."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.support.clients import Caller
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_models_served_are_listed(caller: Caller) -> None:
    """Only those with an engine, one by one too, with and without a slash."""
    listed = (await caller.get("/v1/models/")).json
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["gpt-4o-mini", "gpt-4o"]
    assert listed["data"][0]["served_by"] == "up"
    one = await caller.get("/v1/models/gpt-4o")
    assert one.json == listed["data"][1]
    assert (await caller.get("/v1/models/gpt-4o/")).json == one.json


async def test_a_keys_own_models_are_listed_to_it(gateway: LocalGateway) -> None:
    """A key that may use one model sees one."""
    narrow = await gateway.caller(models=["gpt-4o"])
    assert [model["id"] for model in (await narrow.get("/v1/models")).json["data"]] == ["gpt-4o"]


async def test_the_balance_follows_each_call(caller: Caller) -> None:
    """Balance, held and available as decimal strings."""
    await caller.openai()
    shown = (await caller.get("/v1/balance")).json
    assert shown == {
        "object": "balance", "balance": "4.99999205", "held": "0", "available": "4.99999205", "currency": "USD",
    }  # fmt: skip


async def test_what_is_held_shows_while_a_call_runs(caller: Caller, upstream: Upstream) -> None:
    """The largest possible cost stands aside before the engine is asked."""
    seen: dict[str, Any] = {}

    async def look(request: web.Request, asked: Asked) -> web.StreamResponse:
        seen.update((await caller.get("/v1/balance")).json)
        return web.json_response(completion("Alaska", usage(5, 1)))

    upstream.handler = look
    await caller.openai(max_completion_tokens=1000)
    assert seen["balance"] == "5"
    assert float(seen["held"]) >= 0.0006
    assert (await caller.get("/v1/balance")).json["held"] == "0"


async def test_health_needs_no_key(caller: Caller) -> None:
    """`/healthz` and `/readyz`, by GET and HEAD, with and without a slash."""
    for path in ("/healthz", "/readyz", "/healthz/"):
        for method in ("GET", "HEAD"):
            reply = await caller.send(path, method=method, headers={"authorization": ""})
            assert reply.status == 200
    assert (await caller.get("/readyz")).json == {
        "status": "ready", "database": "ok", "engines": {"up": {"state": "configured"}}, "workers": {},
    }  # fmt: skip
