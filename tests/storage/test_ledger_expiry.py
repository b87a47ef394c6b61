"""Calls of dead processes are closed by the sweeper, captures that come late take what is still owed."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from minitoolai.core.ledger import CallOutcome, HoldOutcome, Resolution, SystemAccount, TransferKind
from tests.storage.desk import Desk, ask, cost, hold_all, settle_all

GRANTED, NO_CREDIT, KEY_LIMIT = HoldOutcome.GRANTED, HoldOutcome.NO_CREDIT, HoldOutcome.KEY_LIMIT


async def dead_call(desk: Desk, account: int, key: int, wanted: int, produced: int) -> asyncpg.Record:
    """A call whose process died after it had produced so much; return its hold's row."""
    ledger = await desk.ledger()
    request = ask(account, key, wanted)
    assert (await ledger.hold(request)).outcome is GRANTED
    assert await ledger.renew({request.id: produced})
    await desk.kill(ledger)
    assert await (await desk.ledger()).sweep() == 1
    (row,) = await desk.sql("SELECT * FROM holds WHERE id = $1", request.id)
    return row


async def test_the_sweeper_captures_what_a_dead_process_had_produced(desk: Desk) -> None:
    """And releases the rest; living processes' holds stand."""
    account = await desk.account(1000)
    key = await desk.key(account, 900)
    alive = await desk.ledger()
    await alive.hold(ask(account, key, 100))
    row = await dead_call(desk, account, key, 500, 80)
    assert row["expired_at"] is not None
    assert row["charged"] == 80
    assert await desk.money(account) == (920, 100)
    assert await desk.entries() == [(TransferKind.EXPIRY, account, SystemAccount.REVENUE, 80)]
    (usage,) = await desk.sql("SELECT outcome, cost, held FROM usage_records")
    assert tuple(usage) == (CallOutcome.EXPIRED, 80, 500)
    assert await alive.sweep() == 0
    assert len(await desk.sql("SELECT 1 FROM processes WHERE id = $1", row["process_id"])) == 0
    await desk.clean()


@pytest.mark.parametrize(("produced", "charged"), [(0, 0), (500, 500), (10**9, 500)])
async def test_expiry_never_charges_more_than_the_hold(desk: Desk, produced: int, charged: int) -> None:
    """However much a process says it has produced."""
    account = await desk.account(1000)
    row = await dead_call(desk, account, await desk.key(account), 500, produced)
    assert row["charged"] == charged
    assert await desk.money(account) == (1000 - charged, 0)
    await desk.clean()


async def test_a_late_capture_takes_what_is_still_owed(desk: Desk) -> None:
    """The sweeper's part is counted, the record is corrected, the hold is gone."""
    account = await desk.account(1000)
    row = await dead_call(desk, account, await desk.key(account, 900), 500, 80)
    ledger = await desk.ledger()
    settled = await ledger.settle(cost(row["id"], 200))
    assert (settled.resolution, settled.charged_nusd, settled.balance_nusd) == (Resolution.LATE, 200, 800)
    assert (await desk.entries())[-1] == (TransferKind.LATE_CAPTURE, account, SystemAccount.REVENUE, 120)
    (usage,) = await desk.sql("SELECT * FROM usage_records")
    assert (usage["outcome"], usage["cost"], usage["completion_tokens"]) == (CallOutcome.COMPLETED, 200, 3)
    assert (usage["input_nusd_per_1m"], usage["output_nusd_per_1m"]) == (5, 6)
    assert await desk.sql("SELECT 1 FROM holds") == []
    again = await ledger.settle(cost(row["id"], 999))
    assert (again.resolution, again.charged_nusd) == (Resolution.EXISTS, 200)
    await desk.clean()


async def test_a_late_capture_that_costs_less_than_was_charged_gives_nothing_back(desk: Desk) -> None:
    """Entries are final; the answer names what was charged."""
    account = await desk.account(1000)
    row = await dead_call(desk, account, await desk.key(account), 500, 80)
    settled = await (await desk.ledger()).settle(cost(row["id"], 10))
    assert (settled.resolution, settled.charged_nusd, settled.balance_nusd) == (Resolution.LATE, 80, 920)
    await desk.clean()


@pytest.mark.parametrize("tight", ["balance", "key limit"])
async def test_a_late_capture_is_bounded_by_what_is_left(desk: Desk, tight: str) -> None:
    """The rest of it, and what was above the hold, is the operator's."""
    account = await desk.account(1000 if tight == "balance" else 5000)
    key = await desk.key(account, None if tight == "balance" else 1000)
    row = await dead_call(desk, account, key, 500, 80)
    ledger = await desk.ledger()
    other = ask(account, key, 890)
    assert (await ledger.hold(other)).outcome is GRANTED
    settled = await ledger.settle(cost(row["id"], 600))
    assert (settled.resolution, settled.charged_nusd) == (Resolution.LATE, 110)
    movements = await desk.entries()
    assert movements[-2] == (TransferKind.LATE_CAPTURE, account, SystemAccount.REVENUE, 30)
    assert movements[-1] == (TransferKind.SHORTFALL, SystemAccount.LOSS, SystemAccount.REVENUE, 490)
    assert (await ledger.settle(cost(other.id, 890))).charged_nusd == 890
    await desk.clean()


async def test_late_and_open_holds_in_one_batch(desk: Desk) -> None:
    """Each ends its own way, and nothing is taken twice."""
    account = await desk.account(1000)
    key = await desk.key(account)
    late = [(await dead_call(desk, account, key, 300, 10))["id"] for _ in range(2)]
    ledger = await desk.ledger()
    request = ask(account, key, 200)
    await ledger.hold(request)
    settled = await settle_all(ledger, [cost(late[0], 100), cost(request.id, 50), cost(late[1], 700)])
    assert [(each.resolution, each.charged_nusd) for each in settled] == [
        (Resolution.LATE, 100), (Resolution.DONE, 50), (Resolution.LATE, 300),
    ]  # fmt: skip
    assert await desk.money(account) == (550, 0)
    await desk.clean()


async def test_an_expired_hold_of_last_month_is_found(desk: Desk) -> None:
    """Its record lies in this month's partition, and a clock may have been set back a little."""
    account = await desk.account(1000)
    row = await dead_call(desk, account, await desk.key(account), 500, 80)
    ledger = await desk.ledger()
    await desk.sql("UPDATE holds SET created_at = created_at - interval '40 days'")
    assert (await ledger.settle(cost(row["id"], 200))).charged_nusd == 200
    await desk.clean()
    row = await dead_call(desk, account, await desk.key(account), 500, 80)
    await desk.sql("UPDATE holds SET created_at = created_at + interval '1 minute'")
    assert (await ledger.settle(cost(row["id"], 200))).charged_nusd == 200
    await desk.clean()


async def test_old_expired_holds_are_forgotten(desk: Desk) -> None:
    """After two days no capture is expected."""
    account = await desk.account(1000)
    row = await dead_call(desk, account, await desk.key(account), 500, 80)
    await desk.sql("UPDATE holds SET expired_at = expired_at - interval '49 hours'")
    ledger = await desk.ledger()
    await ledger.sweep()
    assert await desk.sql("SELECT 1 FROM holds") == []
    settled = await ledger.settle(cost(row["id"], 200))
    assert (settled.resolution, settled.charged_nusd) == (Resolution.EXISTS, 80)
    await desk.clean()


async def test_a_lapsed_lease_is_renewed_until_the_sweeper_came(desk: Desk) -> None:
    """Then the process is told, and registers anew; its new holds are not swept before that."""
    account = await desk.account(1000)
    key = await desk.key(account)
    ledger, sweeper = await desk.ledger(), await desk.ledger()
    first = ask(account, key, 100)
    await ledger.hold(first)
    await desk.kill(ledger)
    assert await ledger.renew({first.id: 5})
    assert await sweeper.sweep() == 0
    await desk.kill(ledger)
    assert await sweeper.sweep() == 1
    second = ask(account, key, 100)
    await ledger.hold(second)
    assert await sweeper.sweep() == 0
    assert not await ledger.renew({first.id: 5, second.id: 5})
    await ledger.register()
    assert await ledger.renew({first.id: 5, second.id: 5})
    settled = await settle_all(ledger, [cost(first.id, 50), cost(second.id, 50)])
    assert [each.resolution for each in settled] == [Resolution.LATE, Resolution.DONE]
    await desk.clean()


async def test_a_hold_whose_process_is_unknown_is_swept_in_the_end(desk: Desk) -> None:
    """A hold that was committed after its process had gone."""
    account = await desk.account(1000)
    ledger = await desk.ledger()
    await ledger.hold(ask(account, await desk.key(account), 100))
    await desk.sql("DELETE FROM processes WHERE id = $1", ledger.process_id)
    assert await ledger.sweep() == 0
    await desk.sql("UPDATE holds SET created_at = created_at - interval '16 s'")
    assert await ledger.sweep() == 1
    assert await desk.money(account) == (1000, 0)
    await desk.clean()


async def test_produced_only_grows_and_stays_within_the_hold(desk: Desk) -> None:
    """A renewal that says less changes nothing; other processes' holds are not touched by name."""
    account = await desk.account(1000)
    request = ask(account, await desk.key(account), 100)
    ledger = await desk.ledger()
    await ledger.hold(request)
    for said, noted in ((10, 10), (5, 10), (0, 10), (99, 99), (1000, 100)):
        await ledger.renew({request.id: said})
        assert [row["produced"] for row in await desk.sql("SELECT produced FROM holds")] == [noted]
    assert await ledger.renew({})


async def test_a_hold_that_nobody_was_told_of_is_released(desk: Desk) -> None:
    """Older than a minute, of this process, and unknown to it."""
    account = await desk.account(1000)
    key = await desk.key(account)
    ledger, other = await desk.ledger(), await desk.ledger()
    known, stray, young = ask(account, key, 100), ask(account, key, 100), ask(account, key, 100)
    for request in (known, stray, young):
        await ledger.hold(request)
    theirs = ask(account, key, 100)
    await other.hold(theirs)
    old = [known.id, stray.id, theirs.id]
    await desk.sql("UPDATE holds SET created_at = created_at - interval '61 s' WHERE id = ANY ($1)", old)
    await ledger.renew({known.id: 0})
    while ledger.unsettled:
        await asyncio.sleep(0.005)
    left = {row["id"] for row in await desk.sql("SELECT id FROM holds")}
    assert left == {known.id, young.id, theirs.id}
    await desk.clean()


async def test_a_renewal_does_not_release_what_is_being_settled(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A call of more than a minute ends while the lane is busy: its own settlement is the only one."""
    account = await desk.account(10_000)
    key = await desk.key(account)
    ledger = await desk.ledger()
    busy, long = ask(account, key, 100), ask(account, key, 5000)
    await hold_all(ledger, [busy, long])
    await desk.sql("UPDATE holds SET created_at = created_at - interval '61 s'")
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE", account)
        first = ledger.settle(cost(busy.id, 10))
        await asyncio.sleep(0.05)  # it is under way and waits for the account
        second = ledger.settle(cost(long.id, 4000))
        await ledger.renew({})
        assert ledger.unsettled == 2
    assert "releasing hold" not in caplog.text
    assert (await first).charged_nusd == 10
    assert (await second).charged_nusd == 4000
    while ledger.unsettled:
        await asyncio.sleep(0.005)
    assert await desk.money(account) == (5990, 0)
    await desk.clean()


async def test_a_running_server_makes_its_own_partitions(desk: Desk) -> None:
    """Else a server that runs for a quarter of a year could capture nothing more."""
    count = "SELECT count(*) AS n FROM pg_inherits"
    (before,) = await desk.sql(count)
    next_month = await desk.sql("SELECT to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM') AS m")
    for parent in ("transfers", "usage_records"):
        await desk.script(f"DROP TABLE {parent}_{next_month[0]['m']}")
    await (await desk.ledger()).sweep()
    assert (await desk.sql(count)) == [before]


async def test_making_partitions_does_not_wait_for_a_long_reader(desk: Desk) -> None:
    """A verification reads for minutes: captures must not queue behind what waits for it."""
    next_month = await desk.sql("SELECT to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM') AS m")
    await desk.script(f"DROP TABLE usage_records_{next_month[0]['m']}")
    account = await desk.account(1000)
    doomed, ledger = await desk.ledger(), await desk.ledger()
    await doomed.hold(ask(account, await desk.key(account), 100))
    await desk.kill(doomed)
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT count(*) FROM usage_records")
        assert await ledger.sweep() == 1
    assert await desk.money(account) == (1000, 0)
