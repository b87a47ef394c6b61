"""Holds are made and ended exactly, whoever asks, in whatever batches, on both databases."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from minitoolai.core.errors import DatabaseUnavailable, ServerError
from minitoolai.core.ledger import CallOutcome, HoldOutcome, Resolution, SystemAccount, TransferKind
from minitoolai.storage.ledger import PgLedger
from tests.storage.desk import Desk, ask, cost, hold_all, new_id, settle_all

GRANTED, NO_CREDIT, KEY_LIMIT = HoldOutcome.GRANTED, HoldOutcome.NO_CREDIT, HoldOutcome.KEY_LIMIT


async def entries(desk: Desk) -> list[tuple[TransferKind, int, int, int]]:
    """All movements but credits: kind, from, to, amount."""
    rows = await desk.sql("SELECT kind, debit, credit, amount FROM transfers WHERE kind <> 1 ORDER BY created_at")
    return [(TransferKind(kind), debit, credit, amount) for kind, debit, credit, amount in rows]


async def test_a_call_from_hold_to_capture(desk: Desk) -> None:
    """What is held is not spent; what is captured is the cost; the rest is free again."""
    account = await desk.account(1000)
    key = await desk.key(account, 800)
    ledger = await desk.ledger()
    request = ask(account, key, 300)
    answer = await ledger.hold(request)
    assert (answer.outcome, answer.granted_nusd, answer.available_nusd) == (GRANTED, 300, 500)
    assert await desk.money(account) == (1000, 300)
    await desk.clean()
    settled = await ledger.settle(cost(request.id, 120))
    assert (settled.resolution, settled.charged_nusd, settled.balance_nusd) == (Resolution.DONE, 120, 880)
    assert await desk.money(account) == (880, 0)
    assert await entries(desk) == [(TransferKind.CAPTURE, account, SystemAccount.REVENUE, 120)]
    (usage,) = await desk.sql("SELECT * FROM usage_records")
    assert (usage["id"], usage["account_id"], usage["key_id"]) == (request.id, account, key)
    assert (usage["model"], usage["engine"], usage["outcome"]) == ("gpt-4o-mini", "fake", CallOutcome.COMPLETED)
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["counted_by_gateway"]) == (7, 3, False)
    assert (usage["input_nusd_per_1m"], usage["output_nusd_per_1m"]) == (5, 6)
    assert (usage["held"], usage["cost"]) == (300, 120)
    (shown,) = await desk.sql("SELECT spent, held, last_used_at FROM keys")
    assert (shown["spent"], shown["held"]) == (120, 0)
    assert shown["last_used_at"] is not None
    await desk.clean()


async def test_a_release_moves_nothing(desk: Desk) -> None:
    """A cost of zero leaves a record and no movement."""
    account = await desk.account(1000)
    request = ask(account, await desk.key(account), 1000)
    ledger = await desk.ledger()
    await ledger.hold(request)
    settled = await ledger.settle(cost(request.id, 0, CallOutcome.FAILED))
    assert (settled.resolution, settled.charged_nusd, settled.balance_nusd) == (Resolution.DONE, 0, 1000)
    assert await entries(desk) == []
    assert [row["outcome"] for row in await desk.sql("SELECT outcome FROM usage_records")] == [CallOutcome.FAILED]
    await desk.clean()


async def test_a_hold_is_granted_between_its_least_and_what_is_wanted(desk: Desk) -> None:
    """As much as there is, by the tighter of account and key."""
    account = await desk.account(1000)
    free, limited = await desk.key(account), await desk.key(account, 400)
    ledger = await desk.ledger()
    answer = await ledger.hold(ask(account, limited, 900, 100))
    assert (answer.outcome, answer.granted_nusd, answer.available_nusd) == (GRANTED, 400, 0)
    answer = await ledger.hold(ask(account, limited, 900, 1))
    assert (answer.outcome, answer.granted_nusd, answer.available_nusd) == (KEY_LIMIT, 0, 0)
    answer = await ledger.hold(ask(account, free, 900, 601))
    assert (answer.outcome, answer.granted_nusd, answer.available_nusd) == (NO_CREDIT, 0, 600)
    answer = await ledger.hold(ask(account, free, 900, 600))
    assert (answer.outcome, answer.granted_nusd, answer.available_nusd) == (GRANTED, 600, 0)
    answer = await ledger.hold(ask(account, free, 0))
    assert answer.outcome is GRANTED
    await desk.clean()


async def test_who_may_not_hold(desk: Desk) -> None:
    """Revoked, expired, unknown and foreign keys, suspended accounts; each says which."""
    account, other = await desk.account(1000, "a"), await desk.account(1000, "b")
    good = await desk.key(account)
    revoked = await desk.key(account)
    await desk.accounts.revoke_key(revoked, actor="tests")
    expired = await desk.key(account, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    later = await desk.key(account, expires_at=datetime.now(UTC) + timedelta(hours=1))
    foreign = await desk.key(other)
    ledger = await desk.ledger()
    keys = [revoked, expired, foreign, 999_999, good, later]
    answers = await hold_all(ledger, [ask(account, key, 10) for key in keys] + [ask(999_999, good, 10)])
    invalid = HoldOutcome.KEY_INVALID
    assert [each.outcome for each in answers] == [invalid, invalid, invalid, invalid, GRANTED, GRANTED, invalid]
    assert all(isinstance(each.available_nusd, int) for each in answers)
    await desk.accounts.suspend("a", suspended=True, actor="tests")
    answers = await hold_all(ledger, [ask(account, good, 10), ask(account, revoked, 10), ask(other, foreign, 10)])
    assert [each.outcome for each in answers] == [HoldOutcome.ACCOUNT_SUSPENDED, invalid, GRANTED]
    assert await desk.money(account) == (1000, 20)
    await desk.clean()


async def test_a_large_refusal_does_not_block_smaller_ones_behind_it(desk: Desk) -> None:
    """In one batch, in the order asked."""
    account = await desk.account(100)
    key = await desk.key(account)
    ledger = await desk.ledger()
    answers = await hold_all(ledger, [ask(account, key, wanted) for wanted in (60, 500, 30, 20, 10)])
    assert [each.outcome for each in answers] == [GRANTED, NO_CREDIT, GRANTED, NO_CREDIT, GRANTED]
    assert [each.granted_nusd for each in answers] == [60, 0, 30, 0, 10]
    assert await desk.money(account) == (100, 100)
    await desk.clean()


async def test_a_batch_of_many_accounts_has_mixed_outcomes(desk: Desk) -> None:
    """Each request is judged by its own account and key."""
    rich, poor = await desk.account(10_000), await desk.account(5)
    keys = {rich: [await desk.key(rich), await desk.key(rich, 50)], poor: [await desk.key(poor)]}
    ledger = await desk.ledger()
    requests = [
        ask(rich, keys[rich][0], 100), ask(poor, keys[poor][0], 6), ask(rich, keys[rich][1], 40),
        ask(rich, keys[rich][1], 40), ask(poor, keys[poor][0], 9, 2), ask(rich, keys[rich][1], 40, 5),
    ]  # fmt: skip
    answers = await hold_all(ledger, requests)
    assert [(each.outcome, each.granted_nusd) for each in answers] == [
        (GRANTED, 100), (NO_CREDIT, 0), (GRANTED, 40), (KEY_LIMIT, 0), (GRANTED, 5), (GRANTED, 10),
    ]  # fmt: skip
    settled = await settle_all(
        ledger,
        [cost(requests[0].id, 1), cost(new_id(), 9), cost(requests[2].id, 99), cost(requests[4].id, 5)],
    )
    assert [(each.resolution, each.charged_nusd) for each in settled] == [
        (Resolution.DONE, 1), (Resolution.MISSING, 0), (Resolution.DONE, 40), (Resolution.DONE, 5),
    ]  # fmt: skip
    assert await desk.money(poor) == (0, 0)
    assert await desk.money(rich) == (10_000 - 41, 10)
    await desk.clean()


async def test_the_second_settlement_answers_with_the_first(desk: Desk) -> None:
    """Whatever it says; an id without a hold is missing."""
    account = await desk.account(1000)
    request = ask(account, await desk.key(account), 500)
    ledger = await desk.ledger()
    await ledger.hold(request)
    await ledger.settle(cost(request.id, 120))
    again, missing = await settle_all(ledger, [cost(request.id, 400), cost(new_id(), 400)])
    assert (again.resolution, again.charged_nusd, again.balance_nusd) == (Resolution.EXISTS, 120, 880)
    assert (missing.resolution, missing.charged_nusd) == (Resolution.MISSING, 0)
    assert await desk.money(account) == (880, 0)
    await desk.clean()


async def test_usage_above_the_hold_is_the_operators_loss(desk: Desk) -> None:
    """The caller pays the hold, revenue is whole."""
    account = await desk.account(1000)
    request = ask(account, await desk.key(account), 500)
    ledger = await desk.ledger()
    await ledger.hold(request)
    settled = await ledger.settle(cost(request.id, 800))
    assert (settled.resolution, settled.charged_nusd, settled.balance_nusd) == (Resolution.DONE, 500, 500)
    assert await entries(desk) == [
        (TransferKind.CAPTURE, account, SystemAccount.REVENUE, 500),
        (TransferKind.SHORTFALL, SystemAccount.LOSS, SystemAccount.REVENUE, 300),
    ]
    await desk.clean()


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
    assert await entries(desk) == [(TransferKind.EXPIRY, account, SystemAccount.REVENUE, 80)]
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
    assert (await entries(desk))[-1] == (TransferKind.LATE_CAPTURE, account, SystemAccount.REVENUE, 120)
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
    movements = await entries(desk)
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


async def test_a_renewal_does_not_release_what_is_being_settled(desk: Desk) -> None:
    """A call of more than a minute ends while the lane is busy: its own settlement is the one that counts."""
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
    assert (await first).charged_nusd == 10
    assert (await second).charged_nusd == 4000
    while ledger.unsettled:
        await asyncio.sleep(0.005)
    assert await desk.money(account) == (5990, 0)
    await desk.clean()


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


async def test_entries_and_audit_cannot_be_changed(desk: Desk) -> None:
    """Not even by hand."""
    await desk.account(1000)
    for statement in (
        "UPDATE transfers SET amount = amount + 1", "DELETE FROM transfers", "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
    ):  # fmt: skip
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await desk.sql(statement)


async def test_the_schema_itself_refuses_overspending(desk: Desk) -> None:
    """Were a function wrong, the account's row would stop it."""
    account = await desk.account(1000)
    for change in ("held = 1001", "held = -1", "balance = -1"):
        with pytest.raises(asyncpg.CheckViolationError):
            await desk.sql(f"UPDATE accounts SET {change} WHERE id = $1", account)
    with pytest.raises(asyncpg.CheckViolationError):
        await desk.sql("INSERT INTO transfers (id, kind, debit, credit, amount) VALUES ($1, 1, 2, 2, 5)", new_id())
    with pytest.raises(asyncpg.CheckViolationError):
        await desk.sql("INSERT INTO transfers (id, kind, debit, credit, amount) VALUES ($1, 1, 1, 2, 0)", new_id())


async def test_one_bad_operation_fails_alone(desk: Desk) -> None:
    """An id used twice, an amount that no column holds; its neighbours in the batch go through."""
    account = await desk.account(1000)
    key = await desk.key(account)
    ledger = await desk.ledger()
    first = ask(account, key, 100)
    await ledger.hold(first)
    asked = [ask(account, key, 10), ask(account, key, 10, call_id=first.id), ask(account, key, 2**63), ask(account, key, 10)]
    answers = await asyncio.gather(*[ledger.hold(each) for each in asked], return_exceptions=True)
    assert [type(each) for each in answers[1:3]] == [ServerError, ServerError]
    assert [getattr(answers[n], "outcome", None) for n in (0, 3)] == [GRANTED, GRANTED]
    ends = [cost(asked[0].id, 1), cost(asked[3].id, 2**63), cost(first.id, 1)]
    settled = await asyncio.gather(*[ledger.settle(each) for each in ends], return_exceptions=True)
    assert [getattr(settled[n], "resolution", None) for n in (0, 2)] == [Resolution.DONE, Resolution.DONE]
    assert isinstance(settled[1], ServerError)
    await desk.clean()


async def test_huge_amounts_in_one_batch_do_not_overflow(desk: Desk) -> None:
    """Their sum is over 64 bits: each is refused by itself."""
    account = await desk.account(1000)
    key = await desk.key(account)
    ledger = await desk.ledger()
    answers = await hold_all(ledger, [ask(account, key, 2**62) for _ in range(4)] + [ask(account, key, 10)])
    assert [each.outcome for each in answers] == [NO_CREDIT] * 4 + [GRANTED]
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


async def test_a_stopping_process_settles_and_ends_its_lease(desk: Desk) -> None:
    """Nothing of it is left for the sweeper."""
    account = await desk.account(1000)
    request = ask(account, await desk.key(account), 100)
    ledger = await desk.ledger()
    await ledger.hold(request)
    ending = ledger.settle(cost(request.id, 10))
    assert await ledger.close(10)
    assert ending.done()
    assert await desk.sql("SELECT 1 FROM processes WHERE id = $1", ledger.process_id) == []
    assert await desk.money(account) == (990, 0)


async def test_a_stopping_process_with_open_holds_stays_for_the_sweeper(desk: Desk) -> None:
    """Its lease runs out, and its holds with it."""
    account = await desk.account(1000)
    ledger = await desk.ledger()
    await ledger.hold(ask(account, await desk.key(account), 100))
    assert await ledger.close(10)
    assert len(await desk.sql("SELECT 1 FROM processes WHERE id = $1", ledger.process_id)) == 1


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
