"""Many at once, lost connections, callers that leave: money for k calls pays for k, and nothing is lost."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.ledger import HoldOutcome, Resolution
from minitoolai.storage.ledger import PgLedger
from tests.storage.desk import Desk, ask, cost, hold_all, settle_all

GRANTED, NO_CREDIT, KEY_LIMIT = HoldOutcome.GRANTED, HoldOutcome.NO_CREDIT, HoldOutcome.KEY_LIMIT


async def test_renewing_while_settling_does_not_deadlock(desk: Desk) -> None:
    """Calls end while their produced amounts are noted, again and again, from two processes."""
    account = await desk.account(10**9)
    keys = [await desk.key(account) for _ in range(3)]
    ledgers = [await desk.ledger(), await desk.ledger()]
    deadlocks = "SELECT deadlocks FROM pg_stat_database"
    before = await desk.sql(f"{deadlocks} WHERE datname = current_database()")

    async def work(ledger: PgLedger) -> None:
        for round_ in range(6):
            requests = [ask(account, keys[n % 3], 1000) for n in range(30)]
            await hold_all(ledger, requests)
            produced = {request.id: round_ + 1 for request in requests}
            renewals = [ledger.renew(produced) for _ in range(3)]
            await asyncio.gather(settle_all(ledger, [cost(each.id, 7) for each in requests]), *renewals)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(work, ledgers))
    assert await desk.money(account) == (10**9 - 2 * 6 * 30 * 7, 0)
    assert await desk.sql(f"{deadlocks} WHERE datname = current_database()") == before
    await desk.clean()


@pytest.mark.parametrize("bound", ["account", "key"])
async def test_money_for_exactly_k_calls_pays_for_exactly_k(desk: Desk, bound: str, seed: int) -> None:
    """Promise P2 at the ledger: 200 holds released at once from two processes, 20 rounds."""
    chance = random.Random(seed)
    ledgers = [await desk.ledger(), await desk.ledger()]
    rounds = 20
    for _ in range(rounds):
        enough, price = chance.randrange(1, 60), chance.randrange(1, 10**9)
        money = enough * price + chance.randrange(price)
        account = await desk.account(money if bound == "account" else 10**15)
        key = await desk.key(account, None if bound == "account" else money)
        requests = [ask(account, key, price) for _ in range(200)]
        halves = zip(ledgers, (requests[:100], requests[100:]), strict=True)
        answers = [each for half in await asyncio.gather(*[hold_all(*half) for half in halves]) for each in half]
        granted = [request for request, answer in zip(requests, answers, strict=True) if answer.outcome is GRANTED]
        assert len(granted) == enough
        refused = {answer.outcome for answer in answers if answer.outcome is not GRANTED}
        assert refused == {NO_CREDIT if bound == "account" else KEY_LIMIT}
        assert (await desk.money(account))[1] == enough * price
        await settle_all(ledgers[0], [cost(request.id, price) for request in granted])
        spent = await desk.sql("SELECT spent, held FROM keys WHERE id = $1", key)
        assert [tuple(row) for row in spent] == [(enough * price, 0)]
    await desk.clean()


async def test_a_caller_that_leaves_while_its_hold_is_made_holds_nothing(desk: Desk) -> None:
    """The hold is released as soon as the database has answered."""
    account = await desk.account(1000)
    key = await desk.key(account)
    ledger = await desk.ledger()
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE", account)
        futures = [ledger.hold(ask(account, key, 100)) for _ in range(5)]
        await asyncio.sleep(0.05)
        for future in futures[:4]:
            future.cancel()
    assert (await futures[4]).outcome is GRANTED
    while ledger.unsettled:
        await asyncio.sleep(0.005)
    assert await desk.money(account) == (1000, 100)
    await desk.clean()


async def test_lost_connections_lose_nothing(desk: Desk, seed: int) -> None:
    """Backends are terminated while holds and settlements are in flight: every settlement counts once, and a hold
    whose answer was lost is released."""
    chance = random.Random(seed)
    account = await desk.account(10**12)
    key = await desk.key(account)
    ledger = await desk.ledger()
    granted: dict[object, int] = {}
    done = asyncio.Event()

    async def call() -> None:
        request = ask(account, key, 1000)
        try:
            answer = await ledger.hold(request)
        except DatabaseUnavailable:
            return
        assert answer.outcome is GRANTED
        await asyncio.sleep(chance.random() / 100)
        granted[request.id] = paid = chance.randrange(1000)
        settled = await ledger.settle(cost(request.id, paid))
        assert settled.resolution in (Resolution.DONE, Resolution.EXISTS)
        assert settled.charged_nusd == paid

    async def terminate() -> int:
        killed = 0
        killer = await asyncpg.connect(desk.url)
        try:
            while not done.is_set():
                await asyncio.sleep(chance.random() / 8)
                killed += await killer.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%ledger_%'"
                )
        finally:
            await killer.close()
        return killed

    killing = asyncio.create_task(terminate())
    for _ in range(20):
        await asyncio.gather(*[call() for _ in range(25)])
    done.set()
    assert await killing > 0
    async with asyncio.timeout(20):
        while ledger.unsettled:
            await asyncio.sleep(0.01)
    assert granted
    held = (await desk.money(account))[1]
    if held:  # a hold that was committed after its release had been tried: the next renewals find it
        await desk.sql("UPDATE holds SET created_at = created_at - interval '61 s'")
        await ledger.renew({})
        while ledger.unsettled:
            await asyncio.sleep(0.01)
    assert await desk.money(account) == (10**12 - sum(granted.values()), 0)
    await desk.clean()


async def test_a_caller_that_leaves_while_it_is_refused_needs_no_release(desk: Desk) -> None:
    """Nothing was held."""
    account = await desk.account(10)
    key = await desk.key(account)
    ledger = await desk.ledger()
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE", account)
        refused = ledger.hold(ask(account, key, 100))
        await asyncio.sleep(0.05)
        refused.cancel()
    assert (await ledger.hold(ask(account, key, 10))).outcome is GRANTED
    assert ledger.unsettled == 0
    assert await desk.sql("SELECT 1 FROM usage_records") == []


async def test_a_stopping_process_that_cannot_settle_says_so(desk: Desk) -> None:
    """It stays registered: the sweeper closes its calls once its lease has run out."""
    account = await desk.account(1000)
    request = ask(account, await desk.key(account), 100)
    ledger = await desk.ledger()
    await ledger.hold(request)
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE", account)
        ending = ledger.settle(cost(request.id, 10))
        await asyncio.sleep(0.05)
        assert not await ledger.close(0.05)
    with pytest.raises(DatabaseUnavailable):
        await ending
    assert len(await desk.sql("SELECT 1 FROM processes WHERE id = $1", ledger.process_id)) == 1
