"""Promise P9: while the database is away, calls are refused honestly and nothing is asked or lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from minitoolai.core.access import make_key
from minitoolai.storage import database
from tests.support.books import Books
from tests.support.clients import Caller, Reply, until
from tests.support.cut_wire import CutWire
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import Upstream

FULL_NUSD, COST_NUSD = 5 * 10**9, 7950
#: The promise, and a busy machine.
HEALS_S = 5.0 + 5.0


@pytest.fixture
def socket_path(database_url: str) -> Path:
    """The database's own socket."""
    folder = parse_qs(urlsplit(database_url).query)["host"][0]
    (found,) = [path for path in Path(folder).glob(".s.PGSQL.*") if path.suffix != ".lock"]
    return found


@pytest.fixture
async def wire(socket_path: Path) -> AsyncIterator[CutWire]:
    """What stands between the gateway and its database."""
    async with CutWire(socket_path) as between:
        yield between


@pytest.fixture
def books(database_url: str) -> Books:
    """The database itself, which is there all the time."""
    return Books(database_url)


@pytest.fixture
async def gateway(database_url: str, wire: CutWire, upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that reaches its database through the wire."""
    parts = urlsplit(database_url)
    assert parts.username is not None
    url = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{wire.port}{parts.path}"
    async with local_gateway(url, upstream.url) as started:
        yield started
        wire.mend()


def is_honest(reply: Reply) -> None:
    """503 with Retry-After: never 401, never 402, never 500."""
    assert reply.status == 503, reply.text
    assert reply.error["code"] == "service_unavailable"
    assert "database" in reply.error["message"]
    assert 1 <= int(reply.headers["retry-after"]) <= 60


async def test_an_outage_is_a_503_and_no_engine_is_asked(
    gateway: LocalGateway, wire: CutWire, books: Books, upstream: Upstream
) -> None:
    """For keys that are remembered and for those that are not; health lives, readiness does not; then it heals."""
    caller = await books.caller(gateway.base)
    other = await books.caller(gateway.base)
    stranger = Caller(gateway.base, make_key(b"s" * 32), "", 0, 0)
    assert (await caller.openai()).status == 200
    wire.cut()
    for somebody in (caller, other, stranger):
        for reply in (await somebody.openai(), await somebody.seed()):
            is_honest(reply)
    is_honest(await caller.get("/v1/balance"))
    assert (await stranger.send("/v1/models", method="GET", headers={"authorization": "Bearer sk-x"})).status == 401
    assert (await caller.get("/healthz")).status == 200
    ready = await caller.get("/readyz")
    assert (ready.status, ready.json["database"]) == (503, "unavailable")
    assert len(upstream.asked) == 1
    wire.mend()
    began = time.monotonic()
    await until(lambda: _answers(caller), "it heals", HEALS_S)
    print(f"healed after {time.monotonic() - began:.2f} s")
    assert (await caller.get("/readyz")).status == 200
    await gateway.settle()
    assert await books.held() == 0
    assert await books.problems() == ()


async def test_calls_that_run_when_the_database_goes_are_answered_and_charged_later(
    gateway: LocalGateway, wire: CutWire, books: Books, upstream: Upstream
) -> None:
    """The reply waits 2 s, goes out without a balance, and its capture is repeated until it is taken."""
    caller = await books.caller(gateway.base)
    upstream.pause_s = 0.3
    streamed, whole = asyncio.create_task(caller.seed()), asyncio.create_task(caller.openai())
    await until(lambda: len(upstream.asked) == 2, "both run")
    wire.cut()
    for reply in (await streamed, await whole):
        assert reply.status == 200
        assert reply.cost_nusd == COST_NUSD
    assert (await streamed).done
    assert "x-minitoolai-balance" not in (await whole).headers
    assert await books.balance(caller) == FULL_NUSD
    assert await books.held() > 0
    wire.mend()
    await until(lambda: _balance_is(books, caller, FULL_NUSD - 2 * COST_NUSD), "both are charged", HEALS_S)
    assert await books.held() == 0
    assert await books.problems() == ()


async def test_a_key_revoked_during_the_outage_does_not_come_back(
    gateway: LocalGateway, wire: CutWire, books: Books, upstream: Upstream
) -> None:
    """The gateway could not hear of it: what it remembers is checked again."""
    caller = await books.caller(gateway.base)
    assert (await caller.openai()).status == 200
    wire.cut()
    await books.fetch("UPDATE keys SET revoked_at = now() WHERE id = $1", caller.key_id)
    wire.mend()
    replies = [await caller.openai()]
    await until(lambda: _status_is(caller, 401, replies), "the key is refused", HEALS_S)
    assert {reply.status for reply in replies} <= {401, 503}
    assert len(upstream.asked) == 1


async def test_a_database_that_does_not_answer_is_away_too(
    database_url: str, wire: CutWire, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reset, only silence: calls end by a deadline of ours."""
    monkeypatch.setattr(database, "COMMAND_TIMEOUT_S", 1.0)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_S", 1.0)
    books = Books(database_url)
    parts = urlsplit(database_url)
    url = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{wire.port}{parts.path}"
    async with local_gateway(url, upstream.url) as gateway:
        caller = await books.caller(gateway.base)
        assert (await caller.openai()).status == 200
        wire.stall()
        is_honest(await caller.openai())
        wire.cut()
        wire.mend()
        await until(lambda: _answers(caller), "it heals", HEALS_S)
        await gateway.settle()
        assert await books.held() == 0
        assert await books.problems() == ()


async def _answers(caller: Caller) -> bool:
    return (await caller.openai()).status == 200


async def _balance_is(books: Books, caller: Caller, nusd: int) -> bool:
    return await books.balance(caller) == nusd


async def _status_is(caller: Caller, status: int, replies: list[Reply]) -> bool:
    replies.append(await caller.openai())
    return replies[-1].status == status
