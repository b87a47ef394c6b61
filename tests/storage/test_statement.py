"""The statement names every movement of an account once, the newest first, and sums to its balance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from minitoolai.core.ledger import CallOutcome, Settlement, TransferKind
from minitoolai.core.reports import Period, Scope
from minitoolai.storage.statement import PgStatement
from tests.storage.desk import Desk, ask, cost
from tests.storage.test_usage import all_of

ALWAYS = Period()


async def busy(desk: Desk) -> tuple[int, list[int]]:
    """An account with two keys: credits, captures, a call that died and was settled late; and a stranger's calls."""
    account, other = await desk.account(1000, "a"), await desk.account(700, "b")
    keys, stranger = [await desk.key(account), await desk.key(account)], await desk.key(other)
    ledger, doomed = await desk.ledger(), await desk.ledger()
    for amount in range(1, 5):
        for who, key in ((account, keys[amount % 2]), (other, stranger)):
            request = ask(who, key, 100)
            await ledger.hold(request)
            await ledger.settle(cost(request.id, amount))
    free = ask(account, keys[0], 100)
    await ledger.hold(free)
    await ledger.settle(Settlement(free.id, 0, CallOutcome.FAILED))
    late = ask(account, keys[0], 100)
    await doomed.hold(late)
    await doomed.renew({late.id: 20})
    await desk.kill(doomed)
    assert await ledger.sweep() == 1
    await doomed.settle(cost(late.id, 50))
    await desk.credit("a", 5)
    return account, keys


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_it_names_every_movement_once(desk: Desk, limit: int) -> None:
    """Credits in, captures, expiries and late captures out, with their model and key; in pages of any size."""
    account, keys = await busy(desk)
    statement = PgStatement(desk.database)
    rows = await all_of(partial(statement.entries, Scope(account, None), ALWAYS, limit=limit))
    kinds = TransferKind
    assert [(row.kind, row.amount) for row in rows] == [
        (kinds.CREDIT, 5), (kinds.LATE_CAPTURE, -30), (kinds.EXPIRY, -20), (kinds.CAPTURE, -4), (kinds.CAPTURE, -3),
        (kinds.CAPTURE, -2), (kinds.CAPTURE, -1), (kinds.CREDIT, 1000),
    ]  # fmt: skip
    assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)
    assert {(row.model, row.key_id in keys) for row in rows if row.amount < 0} == {("gpt-4o-mini", True)}
    assert {(row.model, row.key_id) for row in rows if row.amount > 0} == {(None, None)}
    assert sum(row.amount for row in rows) == (await desk.money(account))[0]
    await desk.clean()


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_a_key_sees_what_its_own_calls_moved(desk: Desk, limit: int) -> None:
    """No credit, and nothing of the account's other keys."""
    account, keys = await busy(desk)
    statement = PgStatement(desk.database)
    seen = []
    for key in keys:
        scope = Scope(account, key)
        rows = await all_of(partial(statement.entries, scope, ALWAYS, limit=limit))
        seen.append([(row.kind, row.amount, row.key_id) for row in rows])
    assert seen == [
        [(TransferKind.LATE_CAPTURE, -30, keys[0]), (TransferKind.EXPIRY, -20, keys[0]),
         (TransferKind.CAPTURE, -4, keys[0]), (TransferKind.CAPTURE, -2, keys[0])],
        [(TransferKind.CAPTURE, -3, keys[1]), (TransferKind.CAPTURE, -1, keys[1])],
    ]  # fmt: skip
    assert (await statement.entries(Scope(account + 1, keys[0]), ALWAYS, after=None, limit=9)).rows == []


async def test_a_period_bounds_it(desk: Desk) -> None:
    """The first moment is in, the moment after the last is not."""
    account, keys = await busy(desk)
    statement = PgStatement(desk.database)
    for scope, count in ((Scope(account, None), 8), (Scope(account, keys[0]), 4)):
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        assert len((await statement.entries(scope, Period(None, tomorrow), after=None, limit=99)).rows) == count
        assert (await statement.entries(scope, Period(tomorrow, None), after=None, limit=99)).rows == []
    rows = (await statement.entries(Scope(account, None), ALWAYS, after=None, limit=99)).rows
    between = Period(rows[5].at, rows[1].at)
    assert (await statement.entries(Scope(account, None), between, after=None, limit=99)).rows == rows[2:6]
