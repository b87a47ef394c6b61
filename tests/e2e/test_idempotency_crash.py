"""A gateway is killed while a call with an Idempotency-Key runs: the key is free again once the call's hold is closed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from aiohttp import ClientError, web

from tests.support.books import Books
from tests.support.clients import BODY, OPENAI, Caller, Reply, until
from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, product_server
from tests.support.upstream import Asked, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: As promise P4: a lease of 15 s, 20 s of grace after a start, a sweep every 5 s; and a busy machine.
FREE_AGAIN_S = 45.0 + 15.0
COST = 17 * 150 + 9 * 600


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream."""
    async with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests, upstream: Upstream) -> Iterator[ProductServer]:
    """The product."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.use_upstream(upstream.url)
        product.start()
        yield product


async def send(caller: Caller, stream: bool) -> Reply:
    """Call with the key."""
    return await caller.send(OPENAI, {**BODY, "stream": stream}, headers={"idempotency-key": f"one of {stream}"})


async def test_the_key_of_a_killed_call_becomes_free(server: ProductServer, upstream: Upstream) -> None:
    """In progress until then; the call runs anew, and both are charged for what they produced, no more."""
    books = Books(server.environment["MINITOOLAI_DATABASE__URL"])
    caller = await books.caller(server.base)

    async def hang(request: web.Request, asked: Asked) -> web.StreamResponse:
        if asked.body.get("stream"):
            reply = await upstream.begin(request)
            await reply.write(b"".join(upstream.frames(asked)[:3]))
        await asyncio.sleep(120)
        raise AssertionError("nobody waits so long")

    upstream.handler = hang
    running = [asyncio.create_task(send(caller, stream)) for stream in (False, True)]
    await until(lambda: len(upstream.asked) == 2, "both calls")
    await asyncio.sleep(0.2)
    (pid,) = server.gateway_pids()
    os.kill(pid, signal.SIGKILL)
    broken = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(found, ClientError) or (isinstance(found, Reply) and not found.whole) for found in broken)
    await until(lambda: server.gateway_pids() not in ([], [pid]), "another gateway")
    await asyncio.to_thread(server.wait_ready)
    upstream.handler = upstream.answer
    for stream in (False, True):
        assert (await send(caller, stream)).status == 409
    await until(lambda: _free(caller), "the key is free", FREE_AGAIN_S)
    for stream in (False, True):
        reply = await send(caller, stream)
        assert reply.status == 200
        assert reply.content == "".join(upstream.words)
        assert (await send(caller, stream)).headers["x-minitoolai-replayed"] == "true"
    assert await books.held() == 0
    records = await books.records(caller)
    assert sorted(record["outcome"] for record in records) == [0, 0, 4, 4]
    assert [record["cost"] for record in records if record["outcome"] == 0] == [COST, COST]
    assert all(record["cost"] < COST for record in records if record["outcome"] == 4)
    assert await books.problems() == ()


async def _free(caller: Caller) -> bool:
    replies = [await send(caller, stream) for stream in (False, True)]
    assert {reply.status for reply in replies} <= {200, 409}
    return all(reply.status == 200 for reply in replies)
