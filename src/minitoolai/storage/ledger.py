"""The ledger on PostgreSQL: holds and settlements in batches, leases, the sweeper's statement.

The rules of concurrency stand in the functions of `migrations/0001_initial.sql`, `0003_ledger_v2.sql` and `0006_speech.sql`.
Holds of jobs are the business of `jobs`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.ledger import (
    CallOutcome,
    HoldAnswer,
    HoldOutcome,
    HoldRequest,
    Rates,
    Repeatable,
    Resolution,
    Settled,
    Settlement,
)
from minitoolai.storage.database import Database, connect, database_failures
from minitoolai.storage.lanes import BatchLane
from minitoolai.storage.seal import Seal

#: A process that has not renewed for so long is dead (docs/concepts/money.md).
LEASE_S = 15.0
#: Holds expired by one sweep at most, so that its transaction stays short.
SWEEP_MOST = 500
#: Replies erased by one sweep at most: a process that keeps a thousand a second still erases as many.
FORGET_MOST = 5000
#: Requests and tokens of a key without any limit: more than a minute can hold.
MOST_PER_MINUTE = 2**31 - 1
#: What the planner must not try on the lanes: their statements read a handful of rows by key.
_LANE_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
}

_HOLD = """SELECT ord, outcome, granted, available, tokens, request_limit, requests_left, token_limit, tokens_left,
    resets_in_ms, earlier FROM ledger_hold_v2(
    $1::uuid, $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::integer, $14::bigint)"""
_SETTLE = """SELECT ord, resolution, charged, balance FROM ledger_settle_v3(
    $1::uuid[], $2::bigint[], $3::smallint[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::integer[],
    $9::boolean[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::integer[],
    $16::bytea[], $17::integer[], $18::bigint[], $19::integer[], $20::bigint[])"""
_REGISTER = """INSERT INTO processes (id, host, pid, lease_until)
    VALUES ($1, $2, $3, clock_timestamp() + $4::interval)
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until"""
_RENEW = "SELECT alive, stray FROM ledger_renew_v1($1, $2, $3, $4)"
_SWEEP = "SELECT ledger_sweep_v1($1)"
_FORGET = "SELECT forget_replays_v1($1)"
_DEREGISTER = """DELETE FROM processes WHERE id = $1
    AND NOT EXISTS (SELECT 1 FROM holds WHERE process_id = $1 AND expired_at IS NULL)"""

log = logging.getLogger(__name__)


class _Connection:
    """One connection that is opened when it is needed and again when it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection[Any] | None = None

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Return the rows of `query`. Raises `DatabaseUnavailable`, after which the next call connects anew."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url, **_LANE_SETTINGS)
        try:
            with database_failures():
                rows: list[asyncpg.Record] = await self._connection.fetch(query, *arguments)
                return rows
        except asyncpg.PostgresError:
            raise
        except BaseException:
            # Away, timed out or cancelled: what is under way on this connection is unknown.
            self.terminate()
            raise

    def terminate(self) -> None:
        """Close at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class PgLedger:
    """Holds and settlements of one process."""

    def __init__(
        self,
        database: Database,
        process_id: UUID,
        *,
        host: str,
        pid: int,
        seal: Seal,
        requests_per_minute: int = MOST_PER_MINUTE,
        tokens_per_minute: int = MOST_PER_MINUTE,
    ) -> None:
        self.process_id = process_id
        self._seal = seal
        #: For keys without limits of their own.
        self._per_minute = (requests_per_minute, tokens_per_minute)
        self._host = host
        self._pid = pid
        self._database = database
        self._hold_connection = _Connection(database.url)
        self._settle_connection = _Connection(database.url)
        self._holds: BatchLane[HoldRequest, HoldAnswer] = BatchLane(
            self._run_holds, patient=False, unsure=self._release_unsure, unwanted=self._release_unwanted
        )
        #: Holds whose settlement has no answer yet: none is settled twice in one batch.
        self._settling: set[UUID] = set()
        self._settlements: BatchLane[Settlement, Settled] = BatchLane(self._run_settlements, patient=True)

    def hold(self, request: HoldRequest) -> asyncio.Future[HoldAnswer]:
        """Ask for a hold. A caller that cancels the future while it is under way gets its hold released."""
        return self._holds.submit(request)

    def settle(self, settlement: Settlement) -> asyncio.Future[Settled]:
        """End a hold. Submitted is as good as done while this process lives: it is repeated until it is settled."""
        future = self._settlements.submit(settlement)
        self._settling.add(settlement.hold_id)
        future.add_done_callback(lambda _: self._settling.discard(settlement.hold_id))
        return future

    @property
    def undecided(self) -> int:
        """Holds that the database has not answered yet."""
        return self._holds.pending

    @property
    def unsettled(self) -> int:
        """Settlements that the database has not taken yet."""
        return self._settlements.pending

    async def register(self) -> None:
        """Begin this process's lease."""
        async with self._database.connection() as connection:
            await connection.execute(_REGISTER, self.process_id, self._host, self._pid, timedelta(seconds=LEASE_S))

    async def renew(self, produced: Mapping[UUID, int]) -> bool:
        """Renew the lease and note what each open hold's call has cost so far; False when the lease had lapsed."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _RENEW, self.process_id, timedelta(seconds=LEASE_S), list(produced), list(produced.values())
            )
        for hold_id in row["stray"] or ():
            if hold_id in self._settling:
                continue  # it ends by a settlement that the database has not taken yet
            log.warning("releasing hold %s, whose making was never confirmed", hold_id)
            self.settle(Settlement(hold_id, 0, CallOutcome.FAILED))
        return bool(row["alive"])

    async def sweep(self) -> int:
        """Expire the holds of dead processes and erase what may no longer be repeated; return how many expired."""
        async with self._database.connection() as connection:
            swept = int(await connection.fetchval(_SWEEP, SWEEP_MOST))
            await connection.execute(_FORGET, FORGET_MOST)
        return swept

    async def close(self, timeout_s: float) -> bool:
        """Settle what is pending, at most `timeout_s`, and end the lease; whether all was settled."""
        settled = await self._settlements.drain(timeout_s)
        await self._holds.close()
        await self._settlements.close()
        self._hold_connection.terminate()
        self._settle_connection.terminate()
        if settled:
            with contextlib.suppress(DatabaseUnavailable):  # then the lease ends by itself
                async with self._database.connection() as connection:
                    await connection.execute(_DEREGISTER, self.process_id)
        return settled

    def _release_unsure(self, request: HoldRequest) -> None:
        """The connection broke while the hold was under way: it may stand, so it is released."""
        self.settle(Settlement(request.id, 0, CallOutcome.FAILED))

    def _release_unwanted(self, request: HoldRequest, answer: HoldAnswer) -> None:
        """The caller left while its hold was being made."""
        if answer.outcome is HoldOutcome.GRANTED:
            self.settle(Settlement(request.id, 0, CallOutcome.ABANDONED))

    async def _run_holds(self, requests: Sequence[HoldRequest]) -> list[HoldAnswer]:
        marks = [marks_of(self._seal, r.repeatable) for r in requests]
        rows = await self._hold_connection.fetch(
            _HOLD,
            self.process_id,
            [r.id for r in requests],
            [r.account_id for r in requests],
            [r.key_id for r in requests],
            [r.min_nusd for r in requests],
            [r.wanted_nusd for r in requests],
            [r.min_tokens for r in requests],
            [r.wanted_tokens for r in requests],
            [r.model for r in requests],
            [r.engine for r in requests],
            [key for key, _ in marks],
            [body for _, body in marks],
            *self._per_minute,
        )
        answers = {row[0]: hold_answer(row[1:]) for row in rows}
        return [answers[i] for i in range(1, len(requests) + 1)]

    async def _run_settlements(self, settlements: Sequence[Settlement]) -> list[Settled]:
        kept = any(s.reply is not None for s in settlements)
        sounds = any(s.characters or s.character_nusd_per_1m or s.audio_ms or s.audio_minute_nusd for s in settlements)
        rows = await self._settle_connection.fetch(
            _SETTLE,
            [s.hold_id for s in settlements],
            [s.cost_nusd for s in settlements],
            [s.outcome for s in settlements],
            [s.engine for s in settlements],
            [s.prompt_tokens for s in settlements],
            [s.cached_tokens for s in settlements],
            [s.completion_tokens for s in settlements],
            [s.reasoning_tokens for s in settlements],
            [s.counted_by_gateway for s in settlements],
            [s.input_nusd_per_1m for s in settlements],
            [s.cached_nusd_per_1m for s in settlements],
            [s.output_nusd_per_1m for s in settlements],
            [s.fees_nusd for s in settlements],
            [s.tier for s in settlements],
            [s.first_content_ms for s in settlements],
            [s.reply and self._seal.close(s.reply, s.hold_id.bytes) for s in settlements] if kept else [],
            [s.characters for s in settlements] if sounds else [],
            [s.character_nusd_per_1m for s in settlements] if sounds else [],
            [s.audio_ms for s in settlements] if sounds else [],
            [s.audio_minute_nusd for s in settlements] if sounds else [],
        )
        answers = {ord_: Settled(Resolution(resolution), charged, left) for ord_, resolution, charged, left in rows}
        return [answers[i] for i in range(1, len(settlements) + 1)]


def marks_of(seal: Seal, repeatable: Repeatable | None) -> tuple[bytes | None, bytes | None]:
    """Return the keyed hashes under which a call that may be repeated is stored; None twice for any other."""
    if repeatable is None:
        return None, None
    return seal.mark(repeatable.key.encode()), seal.mark(repeatable.body_digest)


def hold_answer(row: Sequence[Any]) -> HoldAnswer:
    """Return the answer that a row of `ledger_hold_v2` is, its number left out."""
    return HoldAnswer(HoldOutcome(row[0]), row[1], row[2], row[3], Rates(*row[4:9]), row[9])
