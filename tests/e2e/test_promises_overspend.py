"""Promise P2: with money for exactly k calls, exactly k of 200 released at once succeed, on every bound there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.books import Books
from tests.support.clients import Caller, Reply
from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, product_server
from tests.support.upstream import Asked, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS, PAID = 200, 20
TOKENS = 1000
#: The prompt is free here, so that each call's hold is known: 1000 tokens at 0.60 USD per million.
CALL_NUSD = 600_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream whose answers the tests hold back."""
    async with Upstream() as server:
        yield server


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def server(request: pytest.FixtureRequest, embedded_server: PostgresForTests, upstream: Upstream) -> Iterator[ProductServer]:
    """The product with one gateway process and with two."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.use_upstream(upstream.url, models=("gpt-4o",))
        product.config.write_text(
            product.config.read_text() + '[models."gpt-4o-mini"]\nengine = "up"\ninput_usd_per_1m = "0"\n'
        )
        product.start("--workers", str(request.param))
        yield product


@pytest.fixture
def books(server: ProductServer) -> Books:
    """The database beside the server."""
    return Books(server.environment["MINITOOLAI_DATABASE__URL"])


def answering_when_all_are_decided(upstream: Upstream) -> asyncio.Event:
    """Let the upstream hold its answers back until the event is set; each costs the whole hold."""
    decided = asyncio.Event()

    async def hold_back(request: web.Request, asked: Asked) -> web.StreamResponse:
        await decided.wait()
        return web.json_response(completion("Alaska", usage(0, TOKENS)))

    upstream.handler = hold_back
    upstream.asked.clear()
    return decided


async def release_at_once(caller: Caller, upstream: Upstream, **fields: Any) -> list[Reply]:
    """Send all calls at once and let the upstream answer when every one was admitted or refused."""
    decided = answering_when_all_are_decided(upstream)
    calls = [asyncio.create_task(caller.openai(max_completion_tokens=TOKENS, **fields)) for _ in range(CALLS)]
    async with asyncio.timeout(60):
        while len(upstream.asked) + sum(call.done() for call in calls) < CALLS:
            await asyncio.sleep(0.02)
    decided.set()
    return list(await asyncio.gather(*calls))


async def exactly_paid(replies: list[Reply], caller: Caller, books: Books, upstream: Upstream) -> None:
    """20 succeeded, 180 were refused for money, and the books say so."""
    statuses = [reply.status for reply in replies]
    assert (statuses.count(200), statuses.count(402)) == (PAID, CALLS - PAID)
    assert len(upstream.asked) == PAID
    assert {reply.error["code"] for reply in replies if reply.status == 402} == {"insufficient_credit"}
    assert sum(reply.cost_nusd for reply in replies if reply.status == 200) == PAID * CALL_NUSD
    assert sum(record["cost"] for record in await books.records(caller)) == PAID * CALL_NUSD
    assert await books.held() == 0
    assert await books.problems() == ()


@pytest.mark.parametrize("turn", range(3))
async def test_on_the_accounts_money(server: ProductServer, books: Books, upstream: Upstream, turn: int) -> None:
    """Not one more than the balance pays for, not one fewer."""
    caller = await books.caller(server.base, "0.012")
    await exactly_paid(await release_at_once(caller, upstream), caller, books, upstream)
    assert await books.balance(caller) == 0


@pytest.mark.long
@pytest.mark.parametrize("turn", range(20))
async def test_on_the_accounts_money_often(server: ProductServer, books: Books, upstream: Upstream, turn: int) -> None:
    """The 20 rounds of the promise."""
    caller = await books.caller(server.base, "0.012")
    await exactly_paid(await release_at_once(caller, upstream), caller, books, upstream)


async def test_on_the_keys_limit(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """A key's limit is as hard as the balance, and leaves the account's other keys alone."""
    caller = await books.caller(server.base, "5", limit_usd="0.012")
    replies = await release_at_once(caller, upstream)
    await exactly_paid(replies, caller, books, upstream)
    assert "Raise the key's limit" in next(reply for reply in replies if reply.status == 402).error["message"]
    other = await books.caller(server.base, account=caller.account)
    upstream.handler = upstream.answer
    assert (await other.openai(max_completion_tokens=TOKENS)).status == 200


async def test_on_two_keys_of_one_account(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """Half of the calls by each key: one purse."""
    one = await books.caller(server.base, "0.012")
    two = await books.caller(server.base, account=one.account)
    decided = answering_when_all_are_decided(upstream)
    calls = [asyncio.create_task((one if turn % 2 else two).openai(max_completion_tokens=TOKENS)) for turn in range(CALLS)]
    async with asyncio.timeout(60):
        while len(upstream.asked) + sum(call.done() for call in calls) < CALLS:
            await asyncio.sleep(0.02)
    decided.set()
    await exactly_paid(list(await asyncio.gather(*calls)), one, books, upstream)


async def test_money_that_comes_back_can_be_spent_at_once(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """What a call did not use is free again with its reply: 5 calls in turn on money for one hold."""
    caller = await books.caller(server.base, "0.0006")
    upstream.handler = upstream.answer
    for _ in range(5):
        assert (await caller.openai(max_completion_tokens=900)).status == 200
    assert await books.balance(caller) == CALL_NUSD - 5 * 9 * 600


async def test_streams_are_bound_by_the_same_purse(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """200 streams at once, money for 20: the refused ones get a 402 and not a broken stream."""
    caller = await books.caller(server.base, "0.012")
    decided = asyncio.Event()

    async def hold_back(request: web.Request, asked: Asked) -> web.StreamResponse:
        await decided.wait()
        return await upstream.stream(request, asked)

    upstream.handler = hold_back
    upstream.asked.clear()
    calls = [asyncio.create_task(caller.seed(max_completion_tokens=TOKENS)) for _ in range(CALLS)]
    async with asyncio.timeout(60):
        while len(upstream.asked) + sum(call.done() for call in calls) < CALLS:
            await asyncio.sleep(0.02)
    decided.set()
    replies = await asyncio.gather(*calls)
    assert sorted(reply.status for reply in replies) == [200] * PAID + [402] * (CALLS - PAID)
    assert all(reply.done for reply in replies if reply.status == 200)
    assert await books.balance(caller) == PAID * (CALL_NUSD - 9 * 600)
    assert await books.problems() == ()
