"""The database beside the product: accounts made quickly, and every figure looked up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import asyncpg

from minitoolai.core.access import KEY_BYTES, key_digest, key_hint, make_key
from minitoolai.core.accounts import KeyTerms
from minitoolai.core.money import parse_usd
from minitoolai.services.metering import new_call_id
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.database import Database
from minitoolai.storage.key_book import PgKeyBook
from minitoolai.storage.verify import verify_ledger
from tests.support.clients import PATIENCE_S, Caller, until


class Books:
    """A look into the database beside the product."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """Return rows."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def balance(self, caller: Caller) -> int:
        """Return what is on the caller's account, in nano-dollars."""
        rows = await self.fetch("SELECT balance FROM accounts WHERE id = $1", caller.account_id)
        return int(rows[0]["balance"])

    async def held(self) -> int:
        """Return what is held on all accounts, in nano-dollars."""
        return int((await self.fetch("SELECT coalesce(sum(held), 0) AS held FROM accounts"))[0]["held"])

    async def records(self, caller: Caller) -> list[dict[str, Any]]:
        """Return the usage records of the caller's account, oldest first."""
        query = "SELECT * FROM usage_records WHERE account_id = $1 ORDER BY created_at, id"
        return await self.fetch(query, caller.account_id)

    async def record(self, caller: Caller, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for the one usage record of the caller's account and return it."""
        await until(lambda: self.records(caller), "a usage record", timeout_s)
        (record,) = await self.records(caller)
        return record

    async def problems(self) -> tuple[str, ...]:
        """Return what `ledger verify` finds."""
        database = Database(self.url, pool_size=1)
        try:
            return (await verify_ledger(database)).problems
        finally:
            await database.close()

    async def caller(
        self,
        base: str,
        credit_usd: str = "5",
        *,
        limit_usd: str | None = None,
        models: Sequence[str] | None = None,
        account: str | None = None,
        **terms: Any,
    ) -> Caller:
        """Make an account (or take `account`) and a key with `terms` (`KeyTerms`), without the time that commands take."""
        database = Database(self.url, pool_size=1)
        accounts = PgAccounts(database)
        name = account or f"caller-{new_call_id()}"
        secret = make_key(os.urandom(KEY_BYTES))
        try:
            if account is None:
                await accounts.create(name, actor="test")
                if parse_usd(credit_usd):
                    await accounts.credit(
                        name, parse_usd(credit_usd), credit_id=name, transfer_id=new_call_id(), actor="test"
                    )
            view = await accounts.show(name)
            limit = parse_usd(limit_usd) if limit_usd is not None else None
            key = await PgKeyBook(database).create(
                name,
                digest=key_digest(secret),
                hint=key_hint(secret),
                terms=KeyTerms(spend_limit=limit, models=tuple(models) if models is not None else None, **terms),
                actor="test",
            )
        finally:
            await database.close()
        return Caller(base, secret, name, view.id, key.id)
