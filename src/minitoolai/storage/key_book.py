"""Keys as operators make, change and revoke them, and as their own holders see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, fields, replace
from typing import Any

import asyncpg

from minitoolai.core.accounts import KeyTerms, KeyView, LimitReset
from minitoolai.core.inner_errors import KeyNotFound
from minitoolai.storage.accounts import account_named
from minitoolai.storage.audit import write_audit
from minitoolai.storage.database import Database

#: The terms stand in the order of the fields of `KeyTerms`.
_INSERT = """INSERT INTO keys (account_id, digest, hint, name, spend_limit, limit_reset, models, expires_at, addresses,
        requests_per_minute, tokens_per_minute, owner)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id"""
#: A limit whose reset changes begins a new period at once.
_UPDATE = """UPDATE keys SET name = $2, spend_limit = $3, limit_reset = $4, models = $5, expires_at = $6, addresses = $7,
        requests_per_minute = $8, tokens_per_minute = $9, owner = $10,
        spent_before = CASE WHEN limit_reset = $4 THEN spent_before WHEN $4 = 'never' THEN 0 ELSE spent END,
        period_began = CASE WHEN limit_reset = $4 THEN period_began
            ELSE date_trunc(nullif($4, 'never'), clock_timestamp() AT TIME ZONE 'UTC')::date END
    WHERE id = $1"""
_KEYS = """SELECT k.*, a.name AS account, CASE
        WHEN p.began IS NULL THEN k.spent
        WHEN k.period_began >= p.began::date THEN k.spent - k.spent_before
        ELSE 0 END AS spent_in_period,
        (p.began + ('1 ' || nullif(k.limit_reset, 'never'))::interval) AT TIME ZONE 'UTC' AS resets_at
    FROM keys k
    JOIN accounts a ON a.id = k.account_id
    CROSS JOIN LATERAL (
        SELECT date_trunc(nullif(k.limit_reset, 'never'), clock_timestamp() AT TIME ZONE 'UTC') AS began) p"""


class PgKeyBook:
    """What an operator does with keys; every change leaves an audit row in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account: str, *, digest: bytes, hint: str, terms: KeyTerms, actor: str) -> KeyView:
        """Store a new key's digest. Raises `AccountNotFound`."""
        async with self._database.transaction() as connection:
            owner = await account_named(connection, account)
            key_id = await connection.fetchval(_INSERT, owner.id, digest, hint, *astuple(terms))
            await write_audit(connection, actor, "key.create", str(key_id), {"account": account, "hint": hint})
            return await _key(connection, key_id)

    async def change(self, key_id: int, changes: Mapping[str, Any], *, actor: str) -> KeyView:
        """Change some of a key's terms, by the fields of `KeyTerms`; every gateway knows at once. Raises `KeyNotFound`."""
        async with self._database.transaction() as connection:
            await connection.execute("SELECT 1 FROM keys WHERE id = $1 FOR NO KEY UPDATE", key_id)
            before = (await _key(connection, key_id)).terms
            await connection.execute(_UPDATE, key_id, *astuple(replace(before, **changes)))
            shown = {name: value if value is None else str(value) for name, value in changes.items()}
            await write_audit(connection, actor, "key.change", str(key_id), shown)
            return await _key(connection, key_id)

    async def revoke(self, key_id: int, *, actor: str) -> KeyView:
        """Revoke a key for good; every gateway drops it at once. Raises `KeyNotFound`."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id", key_id
            )
            revoked = await _key(connection, key_id)
            await write_audit(connection, actor, "key.revoke", str(key_id), {})
            return revoked

    async def show(self, key_id: int) -> KeyView:
        """Return a key. Raises `KeyNotFound`."""
        async with self._database.connection() as connection:
            return await _key(connection, key_id)

    async def all(self, account: str | None = None) -> list[KeyView]:
        """Return the keys of `account`, or all. Raises `AccountNotFound`."""
        async with self._database.connection() as connection:
            if account is not None:
                await account_named(connection, account)
            rows = await connection.fetch(f"{_KEYS} WHERE $1::text IS NULL OR a.name = $1 ORDER BY k.id", account)
        return [_view(row) for row in rows]


async def _key(connection: asyncpg.Connection[Any], key_id: int) -> KeyView:
    row = await connection.fetchrow(f"{_KEYS} WHERE k.id = $1", key_id)
    if row is None:
        raise KeyNotFound(key_id=key_id)
    return _view(row)


def _view(row: asyncpg.Record) -> KeyView:
    terms = {field.name: row[field.name] for field in fields(KeyTerms)}
    for name in ("models", "addresses"):
        terms[name] = tuple(terms[name]) if terms[name] is not None else None
    terms["limit_reset"] = LimitReset(terms["limit_reset"])
    own = {field.name: row[field.name] for field in fields(KeyView) if field.name != "terms"}
    return KeyView(**own, terms=KeyTerms(**terms))
