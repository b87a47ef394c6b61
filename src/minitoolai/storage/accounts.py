"""Accounts, keys, credits and the audit of what operators did with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from minitoolai.core.accounts import AccountView, CreditAnswer, KeyView
from minitoolai.core.inner_errors import AccountExists, AccountNotFound, CreditConflict, KeyNotFound
from minitoolai.core.ledger import SystemAccount, TransferKind
from minitoolai.core.money import format_usd
from minitoolai.storage.database import Database

_AUDIT = "INSERT INTO audit (actor, action, subject, details) VALUES ($1, $2, $3, $4)"
_ACCOUNTS = "SELECT id, name, balance, held, suspended_at IS NOT NULL AS suspended, created_at FROM accounts"
_KEYS = """SELECT k.id, a.name AS account, k.name, k.hint, k.spend_limit, k.spent, k.held, k.models, k.expires_at,
    k.revoked_at, k.last_used_at, k.created_at FROM keys k JOIN accounts a ON a.id = k.account_id"""
_STATEMENT = """SELECT t.created_at, t.kind, t.id, u.model,
    CASE WHEN t.credit = $1 THEN t.amount ELSE -t.amount END AS amount
    FROM transfers t LEFT JOIN usage_records u ON u.id = t.id AND u.account_id = $1
    WHERE t.debit = $1 OR t.credit = $1 ORDER BY t.created_at DESC, t.id DESC LIMIT $2"""


class PgAccounts:
    """What an operator does with accounts and keys; every change leaves an audit row in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, credit_nusd: int = 0, *, transfer_id: UUID | None = None, actor: str) -> AccountView:
        """Make an account, with credit to begin with where `transfer_id` is given. Raises `AccountExists`."""
        async with self._database.transaction() as connection:
            try:
                account_id = await connection.fetchval("INSERT INTO accounts (name) VALUES ($1) RETURNING id", name)
            except asyncpg.UniqueViolationError:
                raise AccountExists(name=name) from None
            await _audit(connection, actor, "account.create", name, {})
            if credit_nusd and transfer_id is not None:
                credit_id = f"account {account_id}: first credit"
                await _credit(connection, name, credit_nusd, credit_id=credit_id, transfer_id=transfer_id, actor=actor)
            return await _account(connection, name)

    async def credit(self, name: str, amount_nusd: int, *, credit_id: str, transfer_id: UUID, actor: str) -> CreditAnswer:
        """Give credit to an account, once per `credit_id`; a repeat answers `exists` and moves nothing.

        Raises `AccountNotFound`, and `CreditConflict` when the id was used for another credit.
        """
        async with self._database.transaction() as connection:
            return await _credit(connection, name, amount_nusd, credit_id=credit_id, transfer_id=transfer_id, actor=actor)

    async def suspend(self, name: str, *, suspended: bool, actor: str) -> AccountView:
        """Stop an account's paid calls at once, or let them go on. Raises `AccountNotFound`."""
        async with self._database.transaction() as connection:
            account = await _account(connection, name)
            await connection.execute(
                "UPDATE accounts SET suspended_at = CASE WHEN $2 THEN coalesce(suspended_at, now()) END WHERE id = $1",
                account.id,
                suspended,
            )
            await _audit(connection, actor, "account.suspend" if suspended else "account.resume", name, {})
            return await _account(connection, name)

    async def show(self, name: str) -> AccountView:
        """Return an account. Raises `AccountNotFound`."""
        async with self._database.connection() as connection:
            return await _account(connection, name)

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

    async def statement(self, name: str, *, most: int) -> list[dict[str, Any]]:
        """Return the newest `most` movements of an account as rows (at, kind, id, model, amount in nusd)."""
        async with self._database.connection() as connection:
            account = await _account(connection, name)
            rows = await connection.fetch(_STATEMENT, account.id, most)
        return [
            {
                "at": row["created_at"],
                "kind": TransferKind(row["kind"]).name.lower(),
                "id": str(row["id"]),
                "model": row["model"],
                "amount_nusd": row["amount"],
            }
            for row in rows
        ]

    async def create_key(
        self,
        account: str,
        *,
        digest: bytes,
        hint: str,
        name: str,
        limit_nusd: int | None,
        models: Sequence[str] | None,
        expires_at: datetime | None,
        actor: str,
    ) -> KeyView:
        """Store a new key's digest. Raises `AccountNotFound`."""
        async with self._database.transaction() as connection:
            owner = await _account(connection, account)
            key_id = await connection.fetchval(
                "INSERT INTO keys (account_id, digest, hint, name, spend_limit, models, expires_at) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                owner.id, digest, hint, name, limit_nusd, models, expires_at,
            )  # fmt: skip
            await _audit(connection, actor, "key.create", str(key_id), {"account": account, "hint": hint})
            return _key(await connection.fetchrow(f"{_KEYS} WHERE k.id = $1", key_id))

    async def revoke_key(self, key_id: int, *, actor: str) -> KeyView:
        """Revoke a key for good; every gateway drops it at once. Raises `KeyNotFound`."""
        async with self._database.transaction() as connection:
            changed = await connection.fetchval(
                "UPDATE keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id", key_id
            )
            if changed is None:
                raise KeyNotFound(key_id=key_id)
            await _audit(connection, actor, "key.revoke", str(key_id), {})
            return _key(await connection.fetchrow(f"{_KEYS} WHERE k.id = $1", key_id))

    async def keys(self, account: str | None = None) -> list[KeyView]:
        """Return the keys of `account`, or all. Raises `AccountNotFound`."""
        async with self._database.connection() as connection:
            if account is not None:
                await _account(connection, account)
            rows = await connection.fetch(f"{_KEYS} WHERE $1::text IS NULL OR a.name = $1 ORDER BY k.id", account)
        return [_key(row) for row in rows]


async def _account(connection: asyncpg.Connection[Any], name: str) -> AccountView:
    row = await connection.fetchrow(f"{_ACCOUNTS} WHERE name = $1", name)
    if row is None:
        raise AccountNotFound(name=name)
    return AccountView(**row)


def _key(row: asyncpg.Record) -> KeyView:
    return KeyView(**{**row, "models": tuple(row["models"]) if row["models"] is not None else None})


async def _audit(
    connection: asyncpg.Connection[Any], actor: str, action: str, subject: str, details: dict[str, Any]
) -> None:
    await connection.execute(_AUDIT, actor, action, subject, json.dumps(details))


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
    account = await _account(connection, name)
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
    await connection.execute(
        "INSERT INTO transfers (id, kind, debit, credit, amount) VALUES ($1, $2, $3, $4, $5)",
        transfer_id, TransferKind.CREDIT, SystemAccount.GRANTS, account.id, amount_nusd,
    )  # fmt: skip
    await connection.execute("UPDATE accounts SET balance = balance + $2 WHERE id = $1", account.id, amount_nusd)
    details = {"amount": format_usd(amount_nusd), "id": credit_id}
    await _audit(connection, actor, "account.credit", name, details)
    return CreditAnswer(created=True, account=await _account(connection, name))
