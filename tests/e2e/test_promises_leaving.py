"""Promise P6: a caller may leave at any byte; the upstream is closed, and what was produced is charged, no more."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt, count_text
from tests.support.books import Books
from tests.support.clients import BODY, OPENAI, SEED, Caller, until
from tests.support.databases import PostgresForTests, open_folder
from tests.support.leaving import Leaving, as_told, read_bytes, read_frames
from tests.support.servers import ProductServer, product_server
from tests.support.upstream import Asked, Upstream, chunk, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINI = TokenPrices(150_000_000, 600_000_000)
PROMPT_TOKENS = count_prompt(BODY)
FULL_NUSD = MINI.cost_nusd(17, 9)
COMPLETED, ABANDONED = 0, 3
#: The promise is 1 s; the rest is for a busy machine.
UPSTREAM_CLOSED_S = 1.0 + 2.0
AT_ONCE = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream that answers each call as the call itself says."""
    async with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests, upstream: Upstream) -> Iterator[ProductServer]:
    """The product."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.use_upstream(upstream.url)
        product.start()
        yield product


@pytest.fixture
def books(server: ProductServer) -> Books:
    """The database beside the server."""
    return Books(server.environment["MINITOOLAI_DATABASE__URL"])


async def sizes(server: ProductServer, books: Books, upstream: Upstream) -> dict[str, int]:
    """Return how many bytes a whole reply of each surface has on the wire."""
    found = {}
    for path in (SEED, OPENAI):
        leaving = Leaving(await books.caller(server.base), upstream)
        async with leaving.call(path, {"how": "slow" if path == SEED else "whole"}, reset=False) as reader:
            raw = await reader.readuntil(b"\r\n\r\n")
            if path == SEED:
                raw += await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                length = next(line for line in raw.split(b"\r\n") if line.lower().startswith(b"content-length"))
                raw += await reader.readexactly(int(length.split(b":")[1]))
        found[path] = len(raw)
    return found


async def leave_somewhere(leaving: Leaving, dice: random.Random, whole_sizes: dict[str, int]) -> tuple[int, int, set[int]]:
    """Make a call, leave it somewhere; return the least and the most it may cost, and how it may have ended."""
    how = dice.choice(["silent", "silent whole", "frames", "frames", "frames", "part", "last", "last whole", "any", "any"])
    reset = dice.random() < 0.5
    path = SEED if how in ("silent", "frames", "last", "any") else OPENAI
    size = whole_sizes[path]
    if how.startswith("silent"):
        async with leaving.call(path, {"how": "silent"}, reset=reset):
            await leaving.asked()
        return 0, 0, {ABANDONED}
    if how == "frames":
        frames = dice.randint(1, 10)
        async with leaving.call(path, {"how": "frames", "frames": str(frames)}, reset=reset) as reader:
            await read_frames(reader, frames)
        text = "".join(leaving.upstream.words[: frames - 1])
        cost = MINI.cost_nusd(PROMPT_TOKENS, count_text(text))
        return cost, cost, {ABANDONED}
    if how == "part":
        text = "Alaska is large. " * dice.randint(0, 200)
        async with leaving.call(path, {"how": "part", "text": text}, reset=reset):
            await leaving.asked()
            await asyncio.sleep(0.5)  # a part of a whole reply reaches nobody: no sign tells that it was received
        return 0, MINI.cost_nusd(PROMPT_TOKENS, count_text(text)), {ABANDONED}
    if how.startswith("last"):
        async with leaving.call(path, {"how": "slow" if path == SEED else "whole"}, reset=reset) as reader:
            await read_bytes(reader, size - 1 if path == OPENAI else 10**9)
        return FULL_NUSD, FULL_NUSD, {COMPLETED}
    async with leaving.call(path, {"how": "slow"}, reset=reset) as reader:
        seen = await read_bytes(reader, dice.randint(0, size - 1))
    words = leaving.upstream.words[: max(0, seen.count(b'"delta":{"content"') - 1)]
    least = MINI.cost_nusd(PROMPT_TOKENS, count_text("".join(words))) if words else 0
    # Without the usage frame it is the gateway that counts, and its count may differ from the upstream's.
    most = MINI.cost_nusd(PROMPT_TOKENS, count_text("".join(leaving.upstream.words)))
    return min(least, FULL_NUSD), max(FULL_NUSD, most), {COMPLETED, ABANDONED}


async def many_leave(server: ProductServer, books: Books, upstream: Upstream, seed: int, times: int) -> None:
    """Let so many callers leave, some at a time, and hold each call to its row of the contract's table."""
    dice = random.Random(seed)
    upstream.asked.clear()

    async def told(request: web.Request, asked: Asked) -> web.StreamResponse:
        return await as_told(upstream, request, asked)

    upstream.handler = told
    whole_sizes = await sizes(server, books, upstream)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        own_dice = random.Random(dice.random())
        async with gate:
            leaving = Leaving(await books.caller(server.base), upstream)
            least, most, outcomes = await leave_somewhere(leaving, own_dice, whole_sizes)
            asked = [asked for asked in upstream.asked if asked.body["user"] == leaving.caller.account]
            if asked and not asked[0].answered.is_set():
                waits = [asyncio.create_task(event.wait()) for event in (asked[0].left, asked[0].answered)]
                done, rest = await asyncio.wait(waits, timeout=UPSTREAM_CLOSED_S, return_when=asyncio.FIRST_COMPLETED)
                for wait in rest:
                    wait.cancel()
                assert done, f"call {number}: the upstream was not closed in time"
            # A caller that left while its key was being looked up has no record.
            records = await until(lambda: _settled(books, leaving.caller, needed=bool(asked)), "the call's end")
        if records == "none":
            return
        assert least <= records[0]["cost"] <= most, (number, least, records, most)
        assert records[0]["outcome"] in outcomes, (number, records)
        assert await books.balance(leaving.caller) == 5 * 10**9 - records[0]["cost"]

    async with asyncio.TaskGroup() as callers:
        for number in range(times):
            callers.create_task(one(number))
    assert await books.held() == 0
    assert await books.problems() == ()


async def _settled(books: Books, caller: Caller, *, needed: bool) -> Any:
    records = await books.records(caller)
    held = await books.fetch("SELECT held FROM accounts WHERE id = $1", caller.account_id)
    if records:
        return records
    return "none" if not needed and not held[0]["held"] else None


async def test_callers_leave_at_any_byte(server: ProductServer, books: Books, upstream: Upstream, seed: int) -> None:
    """60 callers: before the headers, between frames, in the middle of one, one byte before the end."""
    await many_leave(server, books, upstream, seed, 60)


@pytest.mark.long
async def test_a_thousand_callers_leave_at_any_byte(
    server: ProductServer, books: Books, upstream: Upstream, seed: int
) -> None:
    """The promise's own number."""
    await many_leave(server, books, upstream, seed, 1000)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("path", [SEED, OPENAI])
async def test_leaving_before_the_engines_headers_is_free(
    server: ProductServer, books: Books, upstream: Upstream, path: str, reset: bool
) -> None:
    """The upstream is closed and nothing is charged."""

    async def silent(request: web.Request, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    upstream.handler = silent
    leaving = Leaving(await books.caller(server.base), upstream)
    async with leaving.call(path, {}, reset=reset):
        asked = await leaving.asked()
    await asyncio.wait_for(asked.left.wait(), UPSTREAM_CLOSED_S)
    record = await books.record(leaving.caller)
    assert (record["cost"], record["outcome"]) == (0, ABANDONED)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("frames", [1, 2, 6, 10])
async def test_leaving_a_stream_costs_the_prompt_and_what_came(
    server: ProductServer, books: Books, upstream: Upstream, frames: int, reset: bool
) -> None:
    """Counted exactly, from the first frame to the last word."""

    async def some(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = await upstream.begin(request)
        for frame in upstream.frames(asked)[:frames]:
            await reply.write(frame)
        await asyncio.sleep(60)
        return reply

    upstream.handler = some
    leaving = Leaving(await books.caller(server.base), upstream)
    async with leaving.call(SEED, {}, reset=reset) as reader:
        await read_frames(reader, frames)
        asked = await leaving.asked()
    await asyncio.wait_for(asked.left.wait(), UPSTREAM_CLOSED_S)
    record = await books.record(leaving.caller)
    tokens = count_text("".join(upstream.words[: frames - 1]))
    assert (record["prompt_tokens"], record["completion_tokens"]) == (PROMPT_TOKENS, tokens)
    assert record["cost"] == MINI.cost_nusd(PROMPT_TOKENS, tokens)
    assert record["outcome"] == ABANDONED
    assert record["counted_by_gateway"] is True


async def test_leaving_a_whole_call_costs_the_prompt_and_what_came(
    server: ProductServer, books: Books, upstream: Upstream
) -> None:
    """The reply of a whole call that had begun is counted as far as it had come."""
    sent = asyncio.Event()

    async def part(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "application/json"})
        await reply.prepare(request)
        await reply.write(b'{"id": "x", "choices": [{"index": 0, "message": {"content": "The largest U.S. sta')
        sent.set()
        await asyncio.sleep(60)
        return reply

    upstream.handler = part
    leaving = Leaving(await books.caller(server.base), upstream)
    async with leaving.call(OPENAI, {}, reset=True):
        asked = await leaving.asked()
        await sent.wait()
        await asyncio.sleep(1)  # nothing that the caller sees tells when the gateway has read it
    await asyncio.wait_for(asked.left.wait(), UPSTREAM_CLOSED_S)
    record = await books.record(leaving.caller)
    assert record["cost"] == MINI.cost_nusd(PROMPT_TOKENS, count_text("The largest U.S. sta"))
    assert record["outcome"] == ABANDONED


async def test_leaving_one_byte_before_the_end_costs_the_whole(
    server: ProductServer, books: Books, upstream: Upstream
) -> None:
    """The call was captured before its last bytes went out."""

    async def told(request: web.Request, asked: Asked) -> web.StreamResponse:
        return await as_told(upstream, request, asked)

    upstream.handler = told
    whole_sizes = await sizes(server, books, upstream)
    for path in (SEED, OPENAI):
        leaving = Leaving(await books.caller(server.base), upstream)
        async with leaving.call(path, {"how": "slow" if path == SEED else "whole"}, reset=True) as reader:
            await read_bytes(reader, whole_sizes[path] - 1 if path == OPENAI else 10**9)
        record = await books.record(leaving.caller)
        assert (record["cost"], record["outcome"]) == (FULL_NUSD, COMPLETED)


async def test_an_answer_longer_than_a_million_characters_is_counted(
    server: ProductServer, books: Books, upstream: Upstream
) -> None:
    """Longer than the tokeniser takes at once: the call ends and is charged all the same."""

    async def long(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = await upstream.begin(request)
        for _ in range(20):
            await reply.write(chunk({"content": "many words " * 6000}))
        await reply.write(chunk({}, finish_reason="stop") + b"data: [DONE]\n\n")
        await reply.write_eof()
        return reply

    upstream.handler = long
    caller = await books.caller(server.base)
    reply = await caller.seed(max_completion_tokens=16_000)
    assert reply.done
    record = await books.record(caller)
    assert record["completion_tokens"] >= 240_000
    assert record["cost"] == record["held"]
    assert usage(1, 1)
