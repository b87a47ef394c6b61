"""Holds are made and ended exactly, in whatever batches, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from minitoolai.core.errors import ServerError
from minitoolai.core.ledger import CallOutcome, HoldOutcome, Resolution, SystemAccount, TransferKind
from tests.storage.desk import Desk, ask, cost, hold_all, new_id, settle_all

GRANTED, NO_CREDIT, KEY_LIMIT = HoldOutcome.GRANTED, HoldOutcome.NO_CREDIT, HoldOutcome.KEY_LIMIT


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
    assert await desk.entries() == [(TransferKind.CAPTURE, account, SystemAccount.REVENUE, 120)]
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
    assert await desk.entries() == []
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
    await desk.keys.revoke(revoked, actor="tests")
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
    assert await desk.entries() == [
        (TransferKind.CAPTURE, account, SystemAccount.REVENUE, 500),
        (TransferKind.SHORTFALL, SystemAccount.LOSS, SystemAccount.REVENUE, 300),
    ]
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
