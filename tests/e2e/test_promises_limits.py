"""A key's limits are exact over four gateway processes: requests and tokens a minute, money in a day and in all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.core.accounts import LimitReset
from tests.support.books import Books
from tests.support.clients import BODY, Caller, Reply, shows
from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, product_server
from tests.support.upstream import Asked, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKERS, CALLS, PAID = 4, 120, 23
TOKENS = 1000
#: The prompt is free here, so that each call's hold is known: 1000 tokens at 0.60 USD per million.
CALL_NUSD = 600_000
BUDGET_USD = "0.0138"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream whose answers the tests hold back."""
    async with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests, upstream: Upstream) -> Iterator[ProductServer]:
    """The product with four gateway processes."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.use_upstream(upstream.url, models=("gpt-4o",))
        product.config.write_text(
            product.config.read_text() + '[models."gpt-4o-mini"]\nengine = "up"\ninput_usd_per_1m = "0"\n'
        )
        product.start("--workers", str(WORKERS))
        assert len(product.gateway_pids()) == WORKERS
        yield product


@pytest.fixture
def books(server: ProductServer) -> Books:
    """The database beside the server."""
    return Books(server.environment["MINITOOLAI_DATABASE__URL"])


async def release_at_once(caller: Caller, upstream: Upstream, **fields: Any) -> list[Reply]:
    """Send all calls at once and let the upstream answer when every one was admitted or refused."""
    decided = asyncio.Event()

    async def hold_back(request: web.Request, asked: Asked) -> web.StreamResponse:
        await decided.wait()
        return web.json_response(completion("Alaska", usage(0, TOKENS)))

    upstream.handler = hold_back
    upstream.asked.clear()
    calls = [asyncio.create_task(caller.openai(max_completion_tokens=TOKENS, **fields)) for _ in range(CALLS)]
    async with asyncio.timeout(60):
        while len(upstream.asked) + sum(call.done() for call in calls) < CALLS:
            await asyncio.sleep(0.02)
    decided.set()
    return list(await asyncio.gather(*calls))


def of(replies: list[Reply], status: int) -> list[Reply]:
    """Return the replies with a status; exactly the paid ones are 200, all others have it."""
    statuses = [reply.status for reply in replies]
    assert (statuses.count(200), statuses.count(status)) == (PAID, CALLS - PAID)
    return [reply for reply in replies if reply.status == status]


async def test_requests_a_minute(books: Books, server: ProductServer, upstream: Upstream) -> None:
    """Exactly as many as the limit; the others are told when to come back, and count for nothing; then the minute is new."""
    caller = await books.caller(server.base, requests_per_minute=PAID)
    for _ in range(2):
        replies = await release_at_once(caller, upstream)
        for refused in of(replies, 429):
            shows(refused, 429, "rate_limit_exceeded", "rate_limit_error", f"{PAID} requests a minute")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert refused.headers["x-ratelimit-remaining-requests"] == "0"
            assert refused.headers["x-ratelimit-limit-requests"] == str(PAID)
        left = sorted(int(reply.headers["x-ratelimit-remaining-requests"]) for reply in replies if reply.status == 200)
        assert left == list(range(PAID))
        await books.fetch("UPDATE keys SET minute_began = minute_began - interval '60 s' WHERE id = $1", caller.key_id)
    assert len(upstream.asked) == PAID
    assert await books.problems() == ()


async def test_tokens_a_minute(books: Books, server: ProductServer, upstream: Upstream) -> None:
    """As many calls as their most tokens fit in; what they did not use is free when they end."""
    probe = await books.caller(server.base)
    upstream.handler = upstream.answer
    reply = await probe.openai(max_completion_tokens=TOKENS)
    wanted = int(reply.headers["x-ratelimit-limit-tokens"]) - int(reply.headers["x-ratelimit-remaining-tokens"])
    assert wanted > TOKENS
    caller = await books.caller(server.base, tokens_per_minute=PAID * wanted)
    replies = await release_at_once(caller, upstream)
    for refused in of(replies, 429):
        shows(refused, 429, "rate_limit_exceeded", "rate_limit_error", f"{PAID * wanted} tokens a minute")
        assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    (row,) = await books.fetch("SELECT minute_tokens, minute_requests FROM keys WHERE id = $1", caller.key_id)
    assert (row["minute_tokens"], row["minute_requests"]) == (PAID * TOKENS, PAID)
    upstream.handler = upstream.answer
    assert (await caller.openai(max_completion_tokens=(wanted - TOKENS) * PAID - wanted)).status == 200


@pytest.mark.parametrize("reset", LimitReset)
async def test_money_in_a_period(books: Books, server: ProductServer, upstream: Upstream, reset: LimitReset) -> None:
    """Not one call more than the limit pays for; with the next day or month as many again, without a reset none."""
    caller = await books.caller(server.base, limit_usd=BUDGET_USD, limit_reset=reset)
    for refused in of(await release_at_once(caller, upstream), 402):
        shows(refused, 402, "insufficient_credit", "insufficient_quota", "Raise the key's limit")
    spent = (await caller.get("/v1/balance")).json["key"]
    assert (spent["spent"], spent["held"], spent["remaining"]) == (BUDGET_USD, "0", "0")
    await books.fetch(
        "UPDATE keys SET period_began = (period_began - interval '1 month')::date WHERE id = $1", caller.key_id
    )
    replies = await release_at_once(caller, upstream)
    if reset is LimitReset.NEVER:
        assert {reply.status for reply in replies} == {402}
    else:
        of(replies, 402)
    (row,) = await books.fetch("SELECT spent, held FROM keys WHERE id = $1", caller.key_id)
    assert (row["spent"], row["held"]) == ((1 if reset is LimitReset.NEVER else 2) * PAID * CALL_NUSD, 0)
    assert await books.problems() == ()


async def test_a_day_that_ends_during_calls(books: Books, server: ProductServer, upstream: Upstream) -> None:
    """What is captured after midnight counts in the new day; holds that are open then are not lost to it."""
    caller = await books.caller(server.base, limit_usd=BUDGET_USD, limit_reset=LimitReset.DAY)
    decided = asyncio.Event()

    async def hold_back(request: web.Request, asked: Asked) -> web.StreamResponse:
        await decided.wait()
        return web.json_response(completion("Alaska", usage(0, TOKENS)))

    upstream.handler = hold_back
    upstream.asked.clear()
    early = [asyncio.create_task(caller.openai(max_completion_tokens=TOKENS)) for _ in range(PAID)]
    async with asyncio.timeout(60):
        while len(upstream.asked) < PAID:
            await asyncio.sleep(0.02)
    await books.fetch("UPDATE keys SET period_began = period_began - 1 WHERE id = $1", caller.key_id)
    assert (await caller.openai(max_completion_tokens=TOKENS)).status == 402
    decided.set()
    assert {reply.status for reply in await asyncio.gather(*early)} == {200}
    assert (await caller.openai(max_completion_tokens=TOKENS)).status == 402
    assert (await caller.get("/v1/balance")).json["key"]["spent"] == BUDGET_USD


async def test_what_a_key_may_not(books: Books, server: ProductServer, upstream: Upstream) -> None:
    """Expired, revoked, another address, another model: on every process, within moments of the change."""
    upstream.handler = upstream.answer
    expired = await books.caller(server.base, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    shows(await expired.openai(), 401, "invalid_api_key", "authentication_error", "expired")
    elsewhere = await books.caller(server.base, addresses=("203.0.113.0/24",))
    spoofed = {"x-forwarded-for": "203.0.113.7"}
    for path in ("/v1/chat/completions", "/api/chat-completions/"):
        refused = await elsewhere.send(path, dict(BODY), headers=spoofed)
        shows(refused, 403, "permission_denied", "permission_error", "address")
    narrow = await books.caller(server.base, models=["gpt-4o"])
    shows(await narrow.openai(), 403, "permission_denied", "permission_error", "gpt-4o-mini", param="model")
    assert (await narrow.openai(model="gpt-4o")).status == 200
    revoked = await books.caller(server.base)
    assert {reply.status for reply in await asyncio.gather(*[revoked.openai() for _ in range(20)])} == {200}
    server.json("key", "revoke", str(revoked.key_id))
    for reply in await asyncio.gather(*[revoked.openai() for _ in range(40)]):
        shows(reply, 401, "invalid_api_key", "authentication_error", "revoked")


async def test_a_command_changes_what_all_processes_do(books: Books, server: ProductServer, upstream: Upstream) -> None:
    """`key set`, while gateways remember the key: the next calls on every one of them know."""
    upstream.handler = upstream.answer
    caller = await books.caller(server.base)
    key = str(caller.key_id)
    assert {reply.status for reply in await asyncio.gather(*[caller.openai() for _ in range(40)])} == {200}
    for option, value, status in (
        ("--addresses", "203.0.113.0/24", 403), ("--addresses", "none", 200), ("--models", "gpt-4o", 403),
        ("--models", "none", 200), ("--limit", "0", 402), ("--limit", "none", 200), ("--requests-per-minute", "1", 429),
        ("--requests-per-minute", "none", 200), ("--tokens-per-minute", "1", 429), ("--tokens-per-minute", "none", 200),
    ):  # fmt: skip
        server.json("key", "set", key, option, value)
        replies = await asyncio.gather(*[caller.openai() for _ in range(40)])
        assert {reply.status for reply in replies} == {status}, (option, value)
