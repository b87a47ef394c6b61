"""A database with accounts and keys in it, and the processes that work on it."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from minitoolai.core.access import key_digest, key_hint, make_key
from minitoolai.core.accounts import KeyTerms
from minitoolai.core.ids import uuid7
from minitoolai.core.ledger import CallOutcome, HoldAnswer, HoldRequest, Settled, Settlement, TransferKind
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.database import Database
from minitoolai.storage.key_book import PgKeyBook
from minitoolai.storage.ledger import PgLedger
from minitoolai.storage.seal import Seal
from minitoolai.storage.verify import verify_ledger

SEAL = Seal(bytes(32))


def new_id() -> UUID:
    """An id as callers of the ledger make them."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


class Desk:
    """One database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url)
        self.accounts = PgAccounts(self.database)
        self.keys = PgKeyBook(self.database)
        self._ledgers: list[PgLedger] = []
        self._numbers = itertools.count(1)

    async def account(self, balance_nusd: int, name: str | None = None) -> int:
        """Make an account with a balance; return its id."""
        name = name or f"account {next(self._numbers)}"
        made = await self.accounts.create(name, actor="tests")
        if balance_nusd:
            await self.credit(name, balance_nusd)
        return made.id

    async def credit(self, name: str, amount_nusd: int) -> None:
        """Give credit."""
        await self.accounts.credit(name, amount_nusd, credit_id=str(new_id()), transfer_id=new_id(), actor="tests")

    async def key(
        self,
        account_id: int,
        limit_nusd: int | None = None,
        *,
        expires_at: datetime | None = None,
        models: Sequence[str] | None = None,
        secret: str | None = None,
        **more: Any,
    ) -> int:
        """Make a key of an account, with `more` of its terms (`KeyTerms`); return its id."""
        secret = secret or make_key(os.urandom(32))
        owner = await self.accounts.show_by_id(account_id)
        terms = KeyTerms(
            spend_limit=limit_nusd, models=tuple(models) if models is not None else None, expires_at=expires_at, **more
        )
        made = await self.keys.create(
            owner.name, digest=key_digest(secret), hint=key_hint(secret), terms=terms, actor="tests"
        )
        return made.id

    async def ledger(self, **limits: int) -> PgLedger:
        """One process's ledger, registered, with a lease that no slow machine lets lapse unasked."""
        ledger = PgLedger(self.database, new_id(), host="tests", pid=os.getpid(), seal=SEAL, **limits)
        await ledger.register()
        await self.sql("UPDATE processes SET lease_until = now() + interval '1 hour' WHERE id = $1", ledger.process_id)
        self._ledgers.append(ledger)
        return ledger

    async def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Run any statement; return its rows."""
        async with self.database.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows

    async def script(self, statements: str) -> None:
        """Run several statements."""
        async with self.database.connection() as connection:
            await connection.execute(statements)

    async def money(self, account_id: int) -> tuple[int, int]:
        """Balance and held of an account."""
        view = await self.accounts.show_by_id(account_id)
        return view.balance, view.held

    async def entries(self) -> list[tuple[TransferKind, int, int, int]]:
        """All movements but credits: kind, from, to, amount."""
        rows = await self.sql("SELECT kind, debit, credit, amount FROM transfers WHERE kind <> 1 ORDER BY created_at")
        return [(TransferKind(kind), debit, credit, amount) for kind, debit, credit, amount in rows]

    async def kill(self, ledger: PgLedger) -> None:
        """Let a process's lease lapse."""
        await self.sql("UPDATE processes SET lease_until = now() - interval '1 s' WHERE id = $1", ledger.process_id)

    async def clean(self) -> None:
        """Assert that the ledger agrees with itself."""
        report = await verify_ledger(self.database)
        assert report.problems == ()

    async def close(self) -> None:
        """Let go of everything."""
        for ledger in self._ledgers:
            await ledger.close(10)
        await self.database.close()


def ask(account_id: int, key_id: int, wanted: int, least: int | None = None, *, call_id: UUID | None = None) -> HoldRequest:
    """A request for a hold, all or nothing unless `least` is given."""
    return HoldRequest(
        call_id or new_id(), account_id, key_id, wanted if least is None else least, wanted, "gpt-4o-mini", "fake"
    )


def cost(hold_id: UUID, nusd: int, outcome: CallOutcome = CallOutcome.COMPLETED) -> Settlement:
    """A settlement at so much."""
    return Settlement(hold_id, nusd, outcome, 7, 3, counted_by_gateway=False, input_nusd_per_1m=5, output_nusd_per_1m=6)


async def hold_all(ledger: PgLedger, requests: Iterable[HoldRequest]) -> list[HoldAnswer]:
    """Ask for holds in one batch."""
    return list(await asyncio.gather(*[ledger.hold(request) for request in requests]))


async def settle_all(ledger: PgLedger, settlements: Iterable[Settlement]) -> list[Settled]:
    """End holds in one batch."""
    return list(await asyncio.gather(*[ledger.settle(settlement) for settlement in settlements]))
