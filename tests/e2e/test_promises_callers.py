"""Promises P7, P8 and P10: many callers leave nothing behind, slow ones harm nobody, no secret is written down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.core.access import make_key
from tests.support.books import Books
from tests.support.clients import BODY, OPENAI, SEED, Caller, until
from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, product_server
from tests.support.upstream import WORDS, Asked, Upstream, chunk, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: The promise, and a busy machine.
ATTACKERS_CLOSED_S = 15.0 + 10.0
#: Idle connections to the database and the upstream come and go.
DESCRIPTORS_MORE = 12
#: Headers that are read, for what they may not leave behind (promise P10).
SEEN_HEADERS = ("idempotency-key", "traceparent", "origin", "user-agent", "x-forwarded-for", "anthropic-version")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_upstream() -> AsyncIterator[Upstream]:
    """The upstream of all tests here."""
    async with Upstream() as server:
        yield server


@pytest.fixture
def upstream(file_upstream: Upstream) -> Upstream:
    """The upstream as it is at first."""
    file_upstream.handler = file_upstream.answer
    file_upstream.words = WORDS
    file_upstream.pause_s = 0.0
    file_upstream.asked.clear()
    return file_upstream


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests, file_upstream: Upstream) -> Iterator[ProductServer]:
    """The product."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.use_upstream(file_upstream.url)
        product.start()
        yield product


@pytest.fixture
def books(server: ProductServer) -> Books:
    """The database beside the server."""
    return Books(server.environment["MINITOOLAI_DATABASE__URL"])


def descriptors(server: ProductServer) -> int:
    """Return how many files and sockets the gateway has open (Linux)."""
    (pid,) = server.gateway_pids()
    return len(os.listdir(f"/proc/{pid}/fd"))


def connections(server: ProductServer) -> int:
    """Return how many callers' connections the gateway has open (Linux): those that no process has are closed."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [line for line in lines if int(line[1].split(":")[1], 16) == server.port]
    listening, no_process = "0A", "0"
    return sum(line[3] != listening and line[9] != no_process for line in ours)


def resident_kib(server: ProductServer) -> int:
    """Return the gateway's resident memory (Linux)."""
    (pid,) = server.gateway_pids()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


async def slow_connection(server: ProductServer, data: bytes) -> socket.socket:
    """Connect with the smallest buffer there is, send these bytes, and read nothing."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", server.port))
    await loop.sock_sendall(connection, data)
    return connection


async def leave_streams(caller: Caller, dice: random.Random, times: int) -> None:
    """Begin streams and leave each at some byte."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(caller.base.rsplit(":", 1)[1]))
        writer.write(caller.request(SEED, BODY))
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await asyncio.wait_for(reader.readexactly(dice.randint(0, 2500)), 20)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    for _ in range(0, times, 20):
        await asyncio.gather(*(one() for _ in range(20)))


async def calls(caller: Caller, times: int) -> None:
    """Make whole and streamed calls, 20 at a time."""
    for _ in range(0, times, 20):
        replies = await asyncio.gather(*((caller.seed() if turn % 2 else caller.openai()) for turn in range(20)))
        assert {reply.status for reply in replies} == {200}


# -- P8 ---------------------------------------------------------------------------------------------------------


async def test_slow_callers_harm_nobody(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """100 connections of slow headers and 50 that read nothing: closed in time, and health stays quick meanwhile."""

    async def endless(request: web.Request, asked: Asked) -> web.StreamResponse:
        if not asked.body.get("stream"):
            return web.json_response(completion("x" * 16_000_000, usage(5, 5)))
        reply = await upstream.begin(request)
        while True:
            await reply.write(chunk({"content": "x" * 65_536}))
            await asyncio.sleep(0.01)

    upstream.handler = endless
    caller = await books.caller(server.base)
    head = caller.request(OPENAI, BODY)[:40]
    with contextlib.ExitStack() as attack:
        attackers = [attack.enter_context(await slow_connection(server, head)) for _ in range(100)]
        for path, number in ((SEED, 30), (OPENAI, 20)):
            for _ in range(number):
                attack.enter_context(await slow_connection(server, caller.request(path, BODY)))
        await until(lambda: connections(server) >= 140 and len(upstream.asked) == 50, "all have connected")
        began = time.monotonic()
        waits: list[float] = []
        while connections(server):
            assert time.monotonic() - began < ATTACKERS_CLOSED_S, f"{connections(server)} are left"
            for attacker in attackers[::10]:  # a byte now and then does not help them
                with contextlib.suppress(OSError):
                    attacker.send(b"x")
            asked = time.monotonic()
            assert (await caller.get("/healthz")).status == 200
            waits.append(time.monotonic() - asked)
            await asyncio.sleep(0.1)
    waits.sort()
    print(f"attackers closed after {time.monotonic() - began:.1f} s; health {waits[len(waits) // 2]:.3f} s in the middle")
    assert waits[len(waits) * 9 // 10] < 1.0
    upstream.handler = upstream.answer
    assert (await caller.openai()).status == 200
    await until(lambda: _nothing_held(books), "nothing is held")
    assert await books.problems() == ()


# -- P7 ---------------------------------------------------------------------------------------------------------


async def test_many_calls_leave_nothing_behind(server: ProductServer, books: Books, upstream: Upstream, seed: int) -> None:
    """500 calls and 100 streams that were left: descriptors and holds are back where they were."""
    caller = await books.caller(server.base)
    upstream.pause_s = 0.002
    await calls(caller, 40)
    before = descriptors(server)
    await calls(caller, 500)
    await leave_streams(caller, random.Random(seed), 100)
    await until(lambda: _nothing_held(books), "nothing is held")
    await until(lambda: descriptors(server) <= before + DESCRIPTORS_MORE, "the descriptors are closed", 40)
    assert await books.problems() == ()


@pytest.mark.long
async def test_memory_stays_flat(server: ProductServer, books: Books, upstream: Upstream, seed: int) -> None:
    """50,000 calls and 5,000 streams that were left: memory within 10 % of what it was after the warm-up."""
    caller = await books.caller(server.base, "500")
    dice = random.Random(seed)
    upstream.pause_s = 0.001  # so that callers leave in the middle, and the warm-up loads what counts tokens
    for _ in range(2):  # buffers, caches and the interpreter's own arenas find their size in the second round
        await calls(caller, 5_000)
        await leave_streams(caller, dice, 500)
    before, before_descriptors = resident_kib(server), descriptors(server)
    for _ in range(10):
        await calls(caller, 5_000)
        await leave_streams(caller, dice, 500)
        upstream.asked.clear()
        print(f"{resident_kib(server)} KiB resident")
    assert resident_kib(server) < before * 1.1
    await until(lambda: descriptors(server) <= before_descriptors + DESCRIPTORS_MORE, "the descriptors are closed", 40)
    await until(lambda: _nothing_held(books), "nothing is held")


# -- P10 --------------------------------------------------------------------------------------------------------


async def test_no_key_and_no_prompt_is_written_down(server: ProductServer, books: Books, upstream: Upstream) -> None:
    """Neither in the log nor in the metrics, an error or the database, whatever goes wrong on the way."""
    caller = await books.caller(server.base)
    canary = "canary-7f3a"
    said = {"messages": [{"role": "user", "content": f"my password is {canary}"}], "user": canary}
    stranger = Caller(server.base, make_key(b"canary" + b"!" * 26), "", 0, 0)
    replies = [await caller.seed(**said), await caller.openai(**said)]
    upstream.words = [f"{canary} ", *WORDS]

    async def broken(request: web.Request, asked: Asked) -> web.StreamResponse:
        return await upstream.stream(request, asked, [chunk({"content": canary}), b"data: {canary-7f3a\n\n"])

    async def refused(request: web.Request, asked: Asked) -> web.StreamResponse:
        told = {"message": f"bad {canary} for key {caller.key}", "code": canary, "param": canary, "type": canary}
        return web.json_response({"error": told}, status=int(asked.body["metadata"]["status"]))

    upstream.handler = broken
    errors = [await caller.openai(**said), await caller.openai(**said, stream=True)]
    upstream.handler = refused
    for status in (400, 401, 402, 403, 404, 422, 429, 500, 503):
        errors.append(await caller.openai(**said, metadata={"status": str(status)}))
    bad = {**BODY, **said, "temperature": canary, "tools": canary, "stop": {canary: 1}}
    errors += [
        await stranger.openai(**said),
        await caller.send(OPENAI, bad),
        await caller.send(OPENAI, f'{{"{canary}'.encode()),
        await caller.openai(**{**said, "n": 9}),
        await caller.openai(**{**said, "max_completion_tokens": 10**9}),
        await caller.openai(**{**said, "messages": [{"role": canary, "content": canary}]}),
        await caller.send(OPENAI, {**BODY, **said, "n": 9}, headers=dict.fromkeys(SEEN_HEADERS, canary)),
        await caller.get(f"/v1/{canary}?q={canary}"),
    ]
    replies.append(await caller.openai(**said, model=caller.key))  # its own caller is told the name
    upstream.handler = upstream.answer
    await leave_streams(caller, random.Random(1), 20)
    assert [reply.status for reply in replies] == [200, 200, 404]
    for reply in errors[2:]:
        assert reply.status >= 400
        assert canary not in reply.text.replace(f"invalid enum value '{canary}'", "").replace(f"/v1/{canary}", "")
    await until(lambda: _nothing_held(books), "nothing is held")
    await asyncio.sleep(0.2)  # lines of calls are written within 0.05 s
    written = server.log.read_text()
    assert written.count("engine up answered") >= 9  # the log is the one that we read
    assert written.count("minitoolai.calls") >= len(replies) + len(errors)
    metrics = (await caller.get("/metrics")).text
    assert "minitoolai_calls_total" in metrics
    dump = await _dump(books)
    for secret in (canary, caller.key, caller.key[10:40], stranger.key):
        assert secret not in written
        assert secret not in metrics
        assert secret not in dump
        assert all(caller.key not in reply.text for reply in errors)
    assert "gpt-4o-mini" in dump


async def _dump(books: Books) -> str:
    tables = await books.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [await books.fetch(f'SELECT t::text AS row FROM "{table["tablename"]}" t') for table in tables]
    return "\n".join(row["row"] for table in rows for row in table)


async def _nothing_held(books: Books) -> bool:
    return await books.held() == 0
