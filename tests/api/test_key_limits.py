"""What a key may do: money in a period, requests and tokens a minute, addresses; changed at once, told in headers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from minitoolai.core.accounts import LimitReset
from minitoolai.storage.database import Database
from minitoolai.storage.key_book import PgKeyBook
from tests.api.conftest import Serving
from tests.support.clients import Caller, Reply, shows, until
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Most tokens that the upstream's plain question and an answer of 100 are taken for, until they are counted.
WANTED = 200 + 100


def rates(reply: Reply) -> tuple[int, int, int, int]:
    """Return limit and rest of the requests, limit and rest of the tokens; both resets are seconds of a minute."""
    for kind in ("requests", "tokens"):
        reset = reply.headers[f"x-ratelimit-reset-{kind}"]
        assert reset.endswith("s")
        assert 0 <= float(reset[:-1]) <= 60
    requests, tokens = (
        (int(reply.headers[f"x-ratelimit-limit-{kind}"]), int(reply.headers[f"x-ratelimit-remaining-{kind}"]))
        for kind in ("requests", "tokens")
    )
    return (*requests, *tokens)


async def change(gateway: LocalGateway, caller: Caller, **terms: Any) -> None:
    """Change a key as an operator does, beside the gateway."""
    database = Database(gateway.books.url, pool_size=1)
    try:
        await PgKeyBook(database).change(caller.key_id, terms, actor="test")
    finally:
        await database.close()


async def test_every_paid_reply_says_how_the_minute_stands(gateway: LocalGateway, upstream: Upstream) -> None:
    """Whole, streamed on both surfaces, and refused; a call that is refused for anything counts for nothing."""
    caller = await gateway.caller(requests_per_minute=3, tokens_per_minute=10_000)
    whole = await caller.openai(max_completion_tokens=100)
    assert rates(whole)[:3] == (3, 2, 10_000)
    stream = await caller.openai(stream=True, max_completion_tokens=100)
    assert rates(stream)[:3] == (3, 1, 10_000)
    for refused in (
        await caller.openai(model="gpt-9"),
        await caller.openai(temperature=3),
        await caller.send("/v1/chat/completions", {"model": "gpt-4o"}, headers={"x-max-cost": "0"}),
    ):
        assert refused.status in (400, 402, 404)
    for path in ("/v1/models", "/v1/balance", "/v1/usage", "/v1/ledger"):
        reply = await caller.get(path)
        assert reply.status == 200
        assert not [name for name in reply.headers if name.startswith("x-ratelimit")]
    await caller.send("/v1/quotes", {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]})
    last = await caller.seed(max_completion_tokens=100)
    assert rates(last)[:3] == (3, 0, 10_000)
    for _ in range(2):
        refused = await caller.openai(max_completion_tokens=100)
        shows(refused, 429, "rate_limit_exceeded", "rate_limit_error", "3 requests a minute")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert rates(refused)[:3] == (3, 0, 10_000)
    assert len(upstream.asked) == 3


async def test_tokens_are_corrected_when_a_call_ends(gateway: LocalGateway, upstream: Upstream) -> None:
    """A call takes the most it may use, and gives back what it did not; a call that does not fit is refused."""
    caller = await gateway.caller(tokens_per_minute=1000)
    left = 1000
    for _ in range(3):
        reply = await caller.openai(max_completion_tokens=100)
        assert left - WANTED - 50 < rates(reply)[3] < left - 100
        await gateway.settle()
        left -= 17 + 9
        (row,) = await gateway.books.fetch("SELECT minute_tokens FROM keys WHERE id = $1", caller.key_id)
        assert row["minute_tokens"] == 1000 - left
    refused = await caller.openai(max_completion_tokens=1000)
    shows(refused, 429, "rate_limit_exceeded", "rate_limit_error", "1000 tokens a minute", f"{left} are left")
    assert rates(refused)[2:] == (1000, left)
    open_ended = await caller.openai()
    assert open_ended.status == 200
    assert 0 < upstream.asked[-1].body["max_completion_tokens"] < left  # the answer is shortened to what the minute leaves


async def test_a_key_without_limits_has_the_servers(serving: Serving) -> None:
    """`[server] requests_per_minute` and `tokens_per_minute`; the key's own take their place."""
    async with serving(server={"requests_per_minute": 2, "tokens_per_minute": 5000}) as gateway:
        plain, own = await gateway.caller(), await gateway.caller(requests_per_minute=7, tokens_per_minute=9000)
        replies = [await plain.openai(max_completion_tokens=10) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert rates(replies[0])[:3] == (2, 1, 5000)
        assert rates(await own.openai(max_completion_tokens=10))[:3] == (7, 6, 9000)


async def test_the_balance_says_what_the_key_may_spend(gateway: LocalGateway, upstream: Upstream) -> None:
    """For a key with a limit: limit, spent and held in this period, the rest, and when it begins anew."""
    caller = await gateway.caller(limit_usd="0.01", limit_reset=LimitReset.DAY)
    shown = (await caller.get("/v1/balance")).json
    midnight = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00.000Z")
    assert shown == {
        "object": "balance", "balance": "5", "held": "0", "available": "5", "currency": "USD",
        "key": {
            "limit": "0.01", "limit_reset": "day", "spent": "0", "held": "0", "remaining": "0.01", "resets_at": midnight,
        },
    }  # fmt: skip
    seen: dict[str, Any] = {}

    async def look(request: web.Request, asked: Asked) -> web.StreamResponse:
        seen.update((await caller.get("/v1/balance")).json["key"])
        return web.json_response(completion("Alaska", usage(17, 9)))

    upstream.handler = look
    reply = await caller.openai(max_completion_tokens=1000)
    assert float(seen["held"]) >= 0.0006
    assert float(seen["remaining"]) == pytest.approx(0.01 - float(seen["held"]))
    after = (await caller.get("/v1/balance")).json["key"]
    assert (after["spent"], after["held"]) == (reply.headers["x-minitoolai-cost"], "0")
    total = await gateway.caller(limit_usd="0.01")
    assert (await total.get("/v1/balance")).json["key"]["resets_at"] is None


async def test_a_spent_limit_begins_anew_with_the_day(gateway: LocalGateway, upstream: Upstream) -> None:
    """402 until then, whatever the account has; a limit over the key's life does not."""
    for reset, again in ((LimitReset.DAY, 200), (LimitReset.NEVER, 402)):
        caller = await gateway.caller(limit_usd="0.0001", limit_reset=reset)
        upstream.handler = answering(17, 100)
        assert (await caller.openai(max_completion_tokens=100)).status == 200
        refused = await caller.openai(max_completion_tokens=100)
        shows(refused, 402, "insufficient_credit", "insufficient_quota", "Raise the key's limit")
        await gateway.books.fetch("UPDATE keys SET period_began = period_began - 1 WHERE id = $1", caller.key_id)
        assert (await caller.openai(max_completion_tokens=100)).status == again


async def test_changes_are_known_to_the_next_call(gateway: LocalGateway, upstream: Upstream) -> None:
    """Addresses, models, owner, end and limits: within moments, though the gateway remembers keys for seconds."""
    caller = await gateway.caller()
    assert (await caller.openai()).status == 200

    async def after(wanted: int, path: str, **terms: Any) -> Reply:
        await change(gateway, caller, **terms)

        async def reply() -> Reply | None:
            found = await caller.get(path) if path != "chat" else await caller.openai()
            return found if found.status == wanted else None

        found: Reply = await until(reply, f"{wanted} after {terms}", 3)
        return found

    refused = await after(403, "/v1/models", addresses=("203.0.113.0/24",))
    shows(refused, 403, "permission_denied", "permission_error", "address")
    await after(200, "/v1/models", addresses=("203.0.113.0/24", "127.0.0.0/8"))
    await after(200, "chat", addresses=None)
    await after(403, "chat", models=("gpt-4o",))
    await after(200, "chat", models=None)
    await after(402, "chat", spend_limit=0)
    await after(429, "chat", spend_limit=None, requests_per_minute=1)
    await after(200, "chat", requests_per_minute=None)
    await after(403, f"/v1/usage?key_id={caller.key_id + 10_000}", owner=False)
    await after(200, f"/v1/usage?key_id={caller.key_id + 10_000}", owner=True)
    expired = await after(401, "/v1/models", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    shows(expired, 401, "invalid_api_key", "authentication_error", "expired")


async def test_the_address_is_the_peers_unless_a_proxy_is_trusted(serving: Serving, gateway: LocalGateway) -> None:
    """A caller cannot say where it is; a trusted proxy can; one whose header is broken is itself the caller."""
    caller = await gateway.caller(addresses=("203.0.113.0/24",))
    inside = {"x-forwarded-for": "203.0.113.7"}
    assert (await caller.send("/v1/models", method="GET", headers=inside)).status == 403
    async with serving(server={"trusted_proxies": ("127.0.0.1", "10.0.0.0/8")}) as behind:
        caller.base = behind.base
        for header, status in {
            "203.0.113.7": 200, "198.51.100.1": 403, "203.0.113.7, 198.51.100.1": 403, "198.51.100.1, 203.0.113.7": 200,
            "203.0.113.7, 10.1.2.3": 200, "203.0.113.7:4711": 200, "::ffff:203.0.113.7": 200, "203.0.113.7, nonsense": 403,
            "": 403, "unknown": 403, "10.0.0.1": 403,
        }.items():  # fmt: skip
            reply = await caller.send("/v1/models", method="GET", headers={"x-forwarded-for": header})
            assert reply.status == status, header
        assert (await caller.get("/v1/models")).status == 403


def answering(prompt: int, completion_tokens: int) -> Any:
    """An upstream's handler that reports so many tokens."""

    async def handler(request: web.Request, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(0)
        return web.json_response(completion("Alaska", usage(prompt, completion_tokens)))

    return handler
