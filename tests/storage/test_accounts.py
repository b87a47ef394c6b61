"""Accounts are made once and credited once per id."""

from __future__ import annotations

import asyncio

import pytest

from minitoolai.core.inner_errors import AccountExists, AccountNotFound, CreditConflict, CreditTooLarge
from minitoolai.core.money import MAX_AMOUNT_NUSD
from tests.storage.desk import Desk, new_id


async def test_an_account_is_made_once(desk: Desk) -> None:
    """Ids begin at 1000; a second one of the name is refused, and so is one that is asked for in vain."""
    made = await desk.accounts.create("a", actor="tests")
    assert (made.name, made.balance, made.held, made.suspended) == ("a", 0, 0, False)
    assert made.id >= 1000
    with pytest.raises(AccountExists):
        await desk.accounts.create("a", actor="tests")
    other = await desk.accounts.create("B", actor="tests")
    assert await desk.accounts.all() == sorted([made, other], key=lambda account: account.name)
    assert await desk.accounts.show("a") == await desk.accounts.show_by_id(made.id) == made
    for asking in (*map(desk.accounts.show, ("nobody", "", "\udcff", "a\0")), desk.accounts.show_by_id(5)):
        with pytest.raises(AccountNotFound):
            await asking
    assert len(await desk.sql("SELECT 1 FROM audit")) == 2


async def test_a_credit_counts_once(desk: Desk) -> None:
    """Twenty at once under one id move money once."""
    await desk.account(0, "a")
    answers = await asyncio.gather(
        *[desk.accounts.credit("a", 500, credit_id="c1", transfer_id=new_id(), actor="tests") for _ in range(20)]
    )
    assert sorted(answer.created for answer in answers) == [False] * 19 + [True]
    assert (await desk.accounts.show("a")).balance == 500
    assert len(await desk.sql("SELECT 1 FROM transfers")) == 1
    assert len(await desk.sql("SELECT 1 FROM audit WHERE action = 'account.credit'")) == 1
    again = await desk.accounts.credit("a", 500, credit_id="c1", transfer_id=new_id(), actor="tests")
    assert (again.created, again.account.balance) == (False, 500)
    await desk.clean()


async def test_an_id_of_another_credit_is_a_conflict(desk: Desk) -> None:
    """Another amount, another account; the error names the first."""
    await desk.account(0, "a")
    await desk.account(0, "b")
    await desk.accounts.credit("a", 5_000_000_000, credit_id="c1", transfer_id=new_id(), actor="tests")
    for name, amount in (("a", 1), ("b", 5_000_000_000)):
        with pytest.raises(CreditConflict) as caught:
            await desk.accounts.credit(name, amount, credit_id="c1", transfer_id=new_id(), actor="tests")
        assert caught.value.facts == {"credit_id": "c1", "amount": "5", "account": "a"}
    with pytest.raises(AccountNotFound):
        await desk.accounts.credit("nobody", 5, credit_id="c2", transfer_id=new_id(), actor="tests")
    assert (await desk.accounts.show("b")).balance == 0
    await desk.clean()


async def test_more_than_the_ledger_holds(desk: Desk) -> None:
    """Refused, and nothing moves: neither the account, nor the id, which is free for a smaller credit."""
    billion = MAX_AMOUNT_NUSD
    await desk.account(0, "a")
    for number in range(9):
        await desk.accounts.credit("a", billion, credit_id=f"c{number}", transfer_id=new_id(), actor="tests")
    with pytest.raises(CreditTooLarge) as caught:
        await desk.accounts.credit("a", billion, credit_id="last", transfer_id=new_id(), actor="tests")
    assert caught.value.facts == {"amount": "1000000000", "account": "a"}
    assert (await desk.accounts.show("a")).balance == 9 * billion
    assert (await desk.accounts.credit("a", 1, credit_id="last", transfer_id=new_id(), actor="tests")).created
    await desk.clean()


async def test_suspending_keeps_its_first_time_and_can_be_undone(desk: Desk) -> None:
    """Each leaves an audit row."""
    await desk.account(0, "a")
    assert (await desk.accounts.suspend("a", suspended=True, actor="tests")).suspended
    first = await desk.sql("SELECT suspended_at FROM accounts")
    await desk.accounts.suspend("a", suspended=True, actor="tests")
    assert await desk.sql("SELECT suspended_at FROM accounts") == first
    assert not (await desk.accounts.suspend("a", suspended=False, actor="tests")).suspended
    actions = [row["action"] for row in await desk.sql("SELECT action FROM audit ORDER BY id")]
    assert actions == ["account.create", "account.suspend", "account.suspend", "account.resume"]
    with pytest.raises(AccountNotFound):
        await desk.accounts.suspend("nobody", suspended=True, actor="tests")


async def test_an_account_may_begin_with_credit(desk: Desk) -> None:
    """In one transaction with it; an amount without a movement's id gives none."""
    made = await desk.accounts.create("a", 500, transfer_id=new_id(), actor="tests")
    assert made.balance == 500
    with pytest.raises(AccountExists):
        await desk.accounts.create("a", 500, transfer_id=new_id(), actor="tests")
    assert (await desk.accounts.create("b", 500, actor="tests")).balance == 0
    assert len(await desk.sql("SELECT 1 FROM transfers")) == 1
    await desk.clean()
