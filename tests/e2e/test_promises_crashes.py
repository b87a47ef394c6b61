"""Promises P3 and P4: processes die at the worst moment; what was acknowledged is charged, and no hold stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt
from minitoolai.runtime.postgres import running_url
from tests.support.books import Books
from tests.support.clients import BODY, Caller, Reply, hold_of, until
from tests.support.databases import open_folder
from tests.support.servers import ProductServer, children_of, command_of, product_server
from tests.support.upstream import Asked, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINI = TokenPrices(150_000_000, 600_000_000)
#: The contract: a lease of 15 s, 20 s of grace after an outage, a sweep every 5 s; and a busy machine.
HELD_ENDS_S = 45.0 + 15.0
STREAMS = 50


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream whose streams take their time."""
    async with Upstream() as server:
        server.words = ["word "] * 40
        yield server


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[ProductServer]:
    """The product with its own embedded database: it is the supervisor that must bring back what dies."""
    with open_folder() as folder, product_server(folder, None) as product:
        product.use_upstream(upstream.url)
        product.config.write_text(product.config.read_text() + "\n[server]\ndrain_timeout_s = 3\n")
        product.start()
        yield product


@pytest.fixture
def books(server: ProductServer) -> Books:
    """The embedded database."""
    url = running_url(server.data_dir)
    assert url is not None
    return Books(url)


@dataclass
class Load:
    """Callers that call again and again, and what they received."""

    caller: Caller
    finished: list[Reply] = field(default_factory=list)
    broken: int = 0
    refused: list[Reply] = field(default_factory=list)

    async def one(self) -> None:
        """Make one call and note how it ended."""
        try:
            reply = await self.caller.seed()
        except (aiohttp.ClientError, OSError):
            self.broken += 1
            return
        if reply.status != 200:
            self.refused.append(reply)
        elif reply.done and reply.whole:
            self.finished.append(reply)
        else:
            self.broken += 1


async def all_is_settled(books: Books, load: Load, timeout_s: float = HELD_ENDS_S) -> None:
    """Nothing stays held, the books are clean, and each reply that ended stands in them with the cost it showed."""
    began = time.monotonic()
    await until(lambda: _nothing_held(books), "nothing is held", timeout_s)
    print(f"nothing is held after {time.monotonic() - began:.1f} s")
    assert await books.problems() == ()
    costs = {record["id"]: record["cost"] for record in await books.records(load.caller)}
    for reply in load.finished:
        assert costs[hold_of(reply)] == reply.cost_nusd
    assert await books.balance(load.caller) == 5 * 10**9 - sum(costs.values())
    # A stream of 40 words is the most that any of them can have cost.
    assert max(costs.values(), default=0) <= MINI.cost_nusd(count_prompt(BODY), 2 * 40)


async def _nothing_held(books: Books) -> bool:
    with contextlib.suppress(OSError, ConnectionError):
        return await books.held() == 0
    return False


async def _so_many_more(load: Load, replies: int) -> None:
    enough = len(load.finished) + replies
    await until(lambda: len(load.finished) >= enough, "calls go through again", 60)


async def _content_flows(upstream: Upstream, streams: int) -> None:
    await until(lambda: len(upstream.asked) >= streams, "all streams run", 60)
    await asyncio.sleep(1)


async def test_kill_9_of_the_gateway_amid_50_streams(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """It is started again; what its streams had produced at the last lease is charged, the rest released."""
    caller = await books.caller(server.base)
    load = Load(caller)
    upstream.pause_s = 0.0
    await load.one()  # one that ends before the crash
    assert len(load.finished) == 1
    upstream.asked.clear()
    upstream.pause_s = 0.4
    streams = [asyncio.create_task(load.one()) for _ in range(STREAMS)]
    await _content_flows(upstream, STREAMS)
    await asyncio.sleep(6)  # a renewal of the lease carries what was produced so far
    (pid,) = server.gateway_pids()
    os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*streams)
    assert load.broken == STREAMS
    await until(lambda: server.gateway_pids() not in ([], [pid]), "a new gateway", 30)
    await asyncio.to_thread(server.wait_ready)
    upstream.pause_s = 0.0
    await asyncio.gather(*(load.one() for _ in range(20)))
    assert len(load.finished) == 21
    await all_is_settled(books, load)
    records = await books.records(caller)
    expired = [record for record in records if record["outcome"] == 4]
    assert len(expired) == STREAMS
    assert all(record["cost"] > 0 for record in expired)


async def test_kill_9_of_the_database_under_load(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """The supervisor brings it back; calls meanwhile get 503, streams that run go on and are charged afterwards."""
    caller = await books.caller(server.base)
    load = Load(caller)
    upstream.pause_s = 0.05
    stop = asyncio.Event()

    async def again_and_again() -> None:
        while not stop.is_set():
            await load.one()
            await asyncio.sleep(0.05)

    callers = [asyncio.create_task(again_and_again()) for _ in range(20)]
    await until(lambda: len(load.finished) >= 10, "calls go through", 60)
    for _ in range(2):
        assert server.process is not None
        (postmaster,) = [pid for pid in children_of(server.process.pid) if "postgres" in command_of(pid)]
        os.kill(postmaster, signal.SIGKILL)
        await _so_many_more(load, 40)
    stop.set()
    await asyncio.gather(*callers)
    assert load.broken == 0
    assert {reply.status for reply in load.refused} <= {503}
    assert all("retry-after" in reply.headers for reply in load.refused)
    await all_is_settled(books, load)


async def test_a_stop_lets_streams_finish_then_cuts_them(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """SIGTERM: short streams end, long ones are cut with an error after drain_timeout_s and charged so far."""
    caller = await books.caller(server.base)
    upstream.pause_s = 0.02
    upstream.words = ["word "] * 40
    upstream.asked.clear()
    slow = asyncio.Event()

    async def long_or_short(request: web.Request, asked: Asked) -> web.StreamResponse:
        if asked.body.get("user") != "long":
            return await upstream.stream(request, asked)
        reply = await upstream.begin(request)
        for frame in upstream.frames(asked)[:5]:
            await reply.write(frame)
        slow.set()
        await asyncio.sleep(60)
        return reply

    upstream.handler = long_or_short
    short = [asyncio.create_task(caller.seed()) for _ in range(5)]
    long = asyncio.create_task(caller.seed(user="long"))
    await slow.wait()
    await until(lambda: len(upstream.asked) == 6, "all run")
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    with contextlib.suppress(aiohttp.ClientError, OSError):  # refused at the door, or with words
        late = await caller.seed()
        assert late.status == 503
        assert "retry-after" in late.headers
    for reply in await asyncio.gather(*short):
        assert reply.done
    cut = await asyncio.wait_for(long, 20)
    assert not cut.done
    assert cut.whole
    assert cut.chunks[-1]["error"]["code"] == "service_unavailable"
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.to_thread(server.start)
    url = running_url(server.data_dir)
    assert url is not None
    again = Books(url)
    records = await again.records(caller)
    assert len(records) == 6
    (ended,) = [record for record in records if record["outcome"] == 2]
    assert ended["cost"] == MINI.cost_nusd(count_prompt(BODY), ended["completion_tokens"]) > 0
    assert await again.held() == 0
    assert await again.problems() == ()


async def test_a_second_signal_stops_at_once(server: ProductServer, upstream: Upstream) -> None:
    """Two SIGTERMs: nothing is waited for, nothing stays behind, and the books are clean after the next start."""
    url = running_url(server.data_dir)
    assert url is not None
    caller = await Books(url).caller(server.base)
    upstream.handler = upstream.answer
    upstream.pause_s = 0.5
    upstream.asked.clear()
    load = Load(caller)
    streams = [asyncio.create_task(load.one()) for _ in range(10)]
    await _content_flows(upstream, 10)
    ours = _tree(server)
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await asyncio.to_thread(server.stop)
    assert time.monotonic() - began < 10  # the streams would have taken 20
    await asyncio.gather(*streams)
    assert load.finished == []
    await _all_gone(ours)
    await asyncio.to_thread(server.start)  # what it left held is swept by the end of the next test


async def test_kill_9_of_the_supervisor_leaves_nothing_behind(server: ProductServer, upstream: Upstream) -> None:
    """Database, gateways: all end with it; and the next start has the books in order."""
    url = running_url(server.data_dir)
    assert url is not None
    caller = await Books(url).caller(server.base)
    upstream.pause_s = 0.2
    upstream.asked.clear()
    load = Load(caller)
    streams = [asyncio.create_task(load.one()) for _ in range(10)]
    await _content_flows(upstream, 10)
    ours = _tree(server)
    assert len(ours) >= 4
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    await _all_gone(ours)
    await asyncio.gather(*streams)
    assert load.broken == 10
    upstream.pause_s = 0.0
    await asyncio.to_thread(server.start)
    await load.one()
    assert len(load.finished) == 0  # the port is another one
    url = running_url(server.data_dir)
    assert url is not None
    await all_is_settled(Books(url), load)


def _tree(server: ProductServer) -> dict[int, str]:
    """Return the processes of a server, itself included, with their command lines."""
    assert server.process is not None
    found: dict[int, str] = {}
    waiting = [server.process.pid]
    while waiting:
        pid = waiting.pop()
        found[pid] = command_of(pid)
        waiting += children_of(pid)
    return found


async def _all_gone(ours: dict[int, str]) -> None:
    def left() -> list[int]:
        return [pid for pid, command in ours.items() if command and command_of(pid) == command]

    await until(lambda: not left(), f"all processes ended: {[ours[pid] for pid in left()]}", 15)
