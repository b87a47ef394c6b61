"""Our charges and the provider's invoice are the same, to the nano-dollar, over 500 calls of every kind at once.

Two upstreams keep their own invoice, call by call; a server with two workers stands before them. Each call carries its
number in its `metadata`, by which its line on the invoice is found; its usage record is found by the reply's request id.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio

from minitoolai.core.ledger import TransferKind
from minitoolai.core.money import charge_nusd
from minitoolai.core.tokens import count_text
from tests.support.books import Books
from tests.support.clients import PATIENCE_S, Caller, until
from tests.support.databases import PostgresForTests
from tests.support.faithful_upstream import KEY, Call, FaithfulUpstream
from tests.support.invented_calls import PRICES, Told, invent
from tests.support.servers import ProductServer, product_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS, AT_ONCE = 500, 24
COMPLETED, CUT, ABANDONED = 0, 2, 3
#: A text that ends within a character, or two choices end to end, are a few tokens more or less than what was sent.
TOKENS_CUT = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstreams() -> AsyncIterator[tuple[FaithfulUpstream, FaithfulUpstream]]:
    """The two providers."""
    async with FaithfulUpstream("a") as first, FaithfulUpstream("b") as second:
        yield first, second


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory,
    embedded_server: PostgresForTests,
    upstreams: tuple[FaithfulUpstream, FaithfulUpstream],
) -> Iterator[tuple[ProductServer, Books]]:
    """A server with two workers whose models are at both."""
    first, second = upstreams
    with embedded_server.database() as url, product_server(tmp_path_factory.mktemp("books"), url) as server:
        tables = ["[server]\nworkers = 2\n"]
        for upstream in (first, second):
            tables.append(
                f'[engines.{upstream.name}]\nkind = "openai"\nbase_url = "{upstream.url}"\napi_key_env = "UPSTREAM"\n'
                "breaker_failures = 0\n"
            )
        for model, (read, cached, written) in PRICES.items():
            tables.append(
                f'[models."{model}"]\nengines = ["a", "b"]\ninput_usd_per_1m = "{read}"\noutput_usd_per_1m = "{written}"\n'
                f'cached_input_usd_per_1m = "{cached}"\n'
            )
        server.configure("\n".join(tables))
        server.environment["UPSTREAM"] = KEY
        server.start()
        yield server, Books(url)


async def run(session: aiohttp.ClientSession, caller: Caller, call: Told) -> None:
    """Send a call and read its reply, or leave it where it says."""
    headers = {**caller.authorization, **call.headers}
    timeout = aiohttp.ClientTimeout(total=0.1 if call.leave_after == 0 and not call.body.get("stream") else 60)
    try:
        async with session.post(caller.base + call.path, json=call.body, headers=headers, timeout=timeout) as reply:
            call.status = reply.status
            call.id = UUID(reply.headers["x-request-id"].removeprefix("req_"))
            call.replayed = "x-minitoolai-replayed" in reply.headers
            async for part in reply.content.iter_any():
                call.received += part
                if call.leave_after is not None and call.received.count(b"\n\n") >= call.leave_after:
                    call.left = True
                    reply.close()
                    return
    except (TimeoutError, aiohttp.ClientPayloadError):
        call.left = call.left or call.status == 0


def price(model: str, prompt: int, cached: int, completion: int) -> int:
    """The exact charge of so many tokens, rounded once: half up."""
    read, kept, written = (round(float(text) * 10**9) for text in PRICES[model])
    return charge_nusd((prompt - cached) * read + cached * kept + completion * written)


def invoiced(model: str, billed: dict[str, Any]) -> int:
    """What a line of the invoice comes to at our prices."""
    cached = billed["prompt_tokens_details"]["cached_tokens"]
    return price(model, billed["prompt_tokens"], cached, billed["completion_tokens"])


class Reconciliation:
    """Usage records held to the lines of the invoice (docs/concepts/money.md, "what costs what")."""

    def __init__(self, records: dict[UUID, dict[str, Any]]) -> None:
        #: Those that no call was found for yet.
        self.records = records
        #: What became of the calls.
        self.found: Counter[str] = Counter()
        #: What was due above the holds: the operator's loss.
        self.above_nusd = 0

    def take(self, calls: list[Told], lines: dict[str, Call]) -> None:
        """Find each call's record and its line, and hold one to the other."""
        for call in calls:
            record = self.records.pop(call.id, None) if call.id is not None else None
            if record is not None:
                self.found[self._check(call, record, lines.get(call.number))] += 1
            elif call.replayed:
                self.found["replayed"] += 1
            else:
                # Refused before its hold; or its caller had gone before the headers, and its record has no cost.
                self.found["refused" if call.status >= 400 else "gone"] += 1

    def _check(self, call: Told, record: dict[str, Any], line: Call | None) -> str:
        cost, outcome = record["cost"], record["outcome"]
        if call.told_cost is not None:
            assert call.told_cost == cost, "the reply says what was charged"
        if outcome not in (COMPLETED, CUT) and cost == 0:
            assert not call.text, "what was received is paid for"
            return "nothing"
        assert line is not None
        assert line.billed is not None
        whole = outcome == COMPLETED
        due = invoiced(record["model"], line.billed) if whole else self._received(call, record, line)
        assert cost == min(due, record["held"]), "to the nano-dollar, and never above the hold"
        self.above_nusd += due - cost
        return {COMPLETED: "completed", CUT: "cut", ABANDONED: "left"}[outcome] if cost == due else "above the hold"

    def _received(self, call: Told, record: dict[str, Any], line: Call) -> int:
        """What is due for a stream that broke off: the prompt, and what the gateway had received of what was sent."""
        prompt, completion = record["prompt_tokens"], record["completion_tokens"]
        assert line.billed is not None
        assert prompt == line.billed["prompt_tokens"]
        if record["outcome"] == CUT:
            assert completion == count_text(line.sent_text), "all that was sent before the break was received"
        else:
            assert completion >= count_text(call.text) - TOKENS_CUT
        assert completion <= line.sent_tokens + TOKENS_CUT
        return price(record["model"], prompt, 0, completion)


async def test_500_calls_are_the_invoice(
    product: tuple[ProductServer, Books], upstreams: tuple[FaithfulUpstream, FaithfulUpstream], seed: int
) -> None:
    """Completed calls to the nano-dollar; broken ones by what was received; nothing for the rest; nothing held."""
    server, books = product
    dice = random.Random(seed)
    callers = [await books.caller(server.base, "3"), await books.caller(server.base, "3", requests_per_minute=40)]
    calls = [invent(dice, number) for number in range(CALLS)]
    repeats = [call for call in calls if call.leave_after is None][:: CALLS // 25]
    for number, call in enumerate(repeats):
        call.headers["idempotency-key"] = f"key-{number}"
    gate = asyncio.Semaphore(AT_ONCE)
    owners = {call.number: dice.choices(callers, [9, 1])[0] for call in calls}

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:

        async def one(call: Told) -> None:
            async with gate:
                await run(session, owners[call.number], call)

        await asyncio.gather(*(one(call) for call in calls))
        await settled(books, upstreams)
        lines = lines_of(upstreams)
        again = [Told(call.path, call.body, call.headers) for call in repeats if call.status == 200]
        await asyncio.gather(*(run(session, owners[call.number], call) for call in again))
    await settled(books, upstreams)

    records = [record for caller in callers for record in await books.records(caller)]
    done = Reconciliation({record["id"]: record for record in records})
    assert not any(call.replayed and call.id in done.records for call in again), "a repeated call is charged once"
    done.take(calls, lines)
    done.take(again, lines_of(upstreams))
    print(f"what became of {CALLS} calls and {len(again)} repeats: {dict(done.found)}")
    assert not any(record["cost"] for record in done.records.values()), "no charge without a call"
    assert await losses(books) == done.above_nusd
    assert await books.held() == 0
    assert await books.problems() == ()
    balances = [await books.balance(caller) for caller in callers]
    assert sum(balances) == len(callers) * 3 * 10**9 - sum(record["cost"] for record in records)
    _is_varied(done.found, records)


def _is_varied(found: Counter[str], records: list[dict[str, Any]]) -> None:
    """Every kind of call was among them."""
    assert found["completed"] > CALLS / 3
    assert min(found[kind] for kind in ("cut", "left", "nothing", "refused", "gone", "replayed")) >= 3
    assert {record["engine"] for record in records} == {"a", "b"}
    assert sum(record["cached_tokens"] > 0 for record in records) >= 5
    assert sum(record["reasoning_tokens"] > 0 for record in records) >= 20


async def losses(books: Books) -> int:
    """Return what the operator bore, in nano-dollars."""
    rows = await books.fetch(
        "SELECT coalesce(sum(amount), 0) AS lost FROM transfers WHERE kind = $1", TransferKind.SHORTFALL
    )
    return int(rows[0]["lost"])


async def settled(books: Books, upstreams: tuple[FaithfulUpstream, FaithfulUpstream]) -> None:
    """Wait until nothing is held and the invoice is written."""
    await until(lambda: _nothing_held(books), "everything is settled", 2 * PATIENCE_S)
    await until(lambda: all(line.ended.is_set() for each in upstreams for line in each.calls), "the invoice is written")


async def _nothing_held(books: Books) -> bool:
    return await books.held() == 0


def lines_of(upstreams: tuple[FaithfulUpstream, FaithfulUpstream]) -> dict[str, Call]:
    """Return the last line of each call on either invoice."""
    return {line.body["metadata"]["number"]: line for each in upstreams for line in each.calls if line.status == 200}
