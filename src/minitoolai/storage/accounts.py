"""Accounts and their credits, as operators make them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg

from minitoolai.core.accounts import AccountView, CreditAnswer
from minitoolai.core.inner_errors import AccountExists, AccountNotFound, CreditConflict, CreditTooLarge
from minitoolai.core.ledger import SystemAccount, TransferKind
from minitoolai.core.money import format_usd
from minitoolai.storage.audit import write_audit
from minitoolai.storage.database import Database

_ACCOUNTS = "SELECT id, name, balance, held, suspended_at IS NOT NULL AS suspended, created_at FROM accounts"


class PgAccounts:
    """What an operator does with accounts; every change leaves an audit row in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, credit_nusd: int = 0, *, transfer_id: UUID | None = None, actor: str) -> AccountView:
        """Make an account, with credit to begin with where `transfer_id` is given.

        Raises `AccountExists`, `CreditTooLarge`.
        """
        async with self._database.transaction() as connection:
            try:
                account_id = await connection.fetchval("INSERT INTO accounts (name) VALUES ($1) RETURNING id", name)
            except asyncpg.UniqueViolationError:
                raise AccountExists(name=name) from None
            await write_audit(connection, actor, "account.create", name, {})
            if credit_nusd and transfer_id is not None:
                credit_id = f"account {account_id}: first credit"
                await _credit(connection, name, credit_nusd, credit_id=credit_id, transfer_id=transfer_id, actor=actor)
            return await account_named(connection, name)

    async def credit(self, name: str, amount_nusd: int, *, credit_id: str, transfer_id: UUID, actor: str) -> CreditAnswer:
        """Give credit to an account, once per `credit_id`; a repeat answers `exists` and moves nothing.

        Raises `AccountNotFound`, `CreditTooLarge`, and `CreditConflict` when the id was used for another credit.
        """
        async with self._database.transaction() as connection:
            return await _credit(connection, name, amount_nusd, credit_id=credit_id, transfer_id=transfer_id, actor=actor)

    async def suspend(self, name: str, *, suspended: bool, actor: str) -> AccountView:
        """Stop an account's paid calls at once, or let them go on. Raises `AccountNotFound`."""
        async with self._database.transaction() as connection:
            account = await account_named(connection, name)
            await connection.execute(
                "UPDATE accounts SET suspended_at = CASE WHEN $2 THEN coalesce(suspended_at, now()) END WHERE id = $1",
                account.id,
                suspended,
            )
            await write_audit(connection, actor, "account.suspend" if suspended else "account.resume", name, {})
            return await account_named(connection, name)

    async def show(self, name: str) -> AccountView:
        """Return an account. Raises `AccountNotFound`."""
        async with self._database.connection() as connection:
            return await account_named(connection, name)

    async def show_by_id(self, account_id: int) -> AccountView:
        """Return an account. Raises `AccountNotFound`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"{_ACCOUNTS} WHERE id = $1", account_id)
        if row is None:
            raise AccountNotFound(name=account_id)
        return AccountView(**row)

    async def all(self) -> list[AccountView]:
        """Return all accounts by name."""
        async with self._database.connection() as connection:
            return [AccountView(**row) for row in await connection.fetch(f"{_ACCOUNTS} ORDER BY name")]


async def account_named(connection: asyncpg.Connection[Any], name: str) -> AccountView:
    """Return an account inside the transaction of `connection`. Raises `AccountNotFound`."""
    row = None
    if name.isprintable():  # PostgreSQL's text holds no NUL and no half of a surrogate pair
        row = await connection.fetchrow(f"{_ACCOUNTS} WHERE name = $1", name)
    if row is None:
        raise AccountNotFound(name=name)
    return AccountView(**row)


async def _credit(
    connection: asyncpg.Connection[Any],
    name: str,
    amount_nusd: int,
    *,
    credit_id: str,
    transfer_id: UUID,
    actor: str,
) -> CreditAnswer:
    """Give credit inside the transaction of `connection`; see `PgAccounts.credit`."""
    account = await account_named(connection, name)
    inserted = await connection.fetchval(
        "INSERT INTO credits (id, account_id, amount, transfer_id) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        credit_id, account.id, amount_nusd, transfer_id,
    )  # fmt: skip
    if inserted is None:
        before = await connection.fetchrow(
            "SELECT c.amount, a.name FROM credits c JOIN accounts a ON a.id = c.account_id WHERE c.id = $1",
            credit_id,
        )
        if before["amount"] != amount_nusd or before["name"] != name:
            raise CreditConflict(credit_id=credit_id, amount=format_usd(before["amount"]), account=before["name"])
        return CreditAnswer(created=False, account=account)
    try:
        await connection.execute(
            "INSERT INTO transfers (id, kind, debit, credit, amount) VALUES ($1, $2, $3, $4, $5)",
            transfer_id, TransferKind.CREDIT, SystemAccount.GRANTS, account.id, amount_nusd,
        )  # fmt: skip
        await connection.execute("UPDATE accounts SET balance = balance + $2 WHERE id = $1", account.id, amount_nusd)
    except asyncpg.NumericValueOutOfRangeError:
        raise CreditTooLarge(amount=format_usd(amount_nusd), account=name) from None
    details = {"amount": format_usd(amount_nusd), "id": credit_id}
    await write_audit(connection, actor, "account.credit", name, details)
    return CreditAnswer(created=True, account=await account_named(connection, name))
