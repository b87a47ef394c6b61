"""Jobs as their owners see them: made together with their hold, looked at, cancelled. Workers: `job_queue`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import PostgresError

from minitoolai.core.jobs import Created, JobKind, JobState, JobView, NewJob, QueueLimits, StoredFile
from minitoolai.core.ledger import CallOutcome, HoldAnswer, HoldOutcome
from minitoolai.storage.database import Database
from minitoolai.storage.ledger import MOST_PER_MINUTE, hold_answer, marks_of
from minitoolai.storage.seal import Seal

#: Positions beyond this are all shown as it.
FURTHEST_POSITION = 10_000

#: What `job_create_v2` raises, and why it does (its DETAIL).
_REFUSED = "MT001"
_NOTHING_HELD = HoldAnswer(HoldOutcome.GRANTED, 0, 0)
_REFUSALS = {
    "100": Created(_NOTHING_HELD, full=True, of_account=True),
    "101": Created(_NOTHING_HELD, full=True),
    "102": Created(_NOTHING_HELD, id_taken=True),
}

_CREATE = """SELECT outcome, granted, available, tokens, request_limit, requests_left, token_limit, tokens_left,
    resets_in_ms, earlier FROM job_create_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
        $17, $18, $19)"""
_FIND = """SELECT j.id, j.call_id, j.account_id, j.kind, j.state, j.model, j.progress, j.message, j.cost, j.result,
    j.created_at, j.ended_at, j.characters, j.file, CASE WHEN j.state = 'queued' THEN (
        SELECT count(*) + 1 FROM (
            SELECT 1 FROM jobs q WHERE q.engine = j.engine AND q.kind = j.kind AND q.state = 'queued'
                AND (q.tag, q.created_at, q.id) < (j.tag, j.created_at, j.id) LIMIT $2) w) END AS position
    FROM jobs j WHERE j.id = $1"""
_CANCEL = "SELECT job_end_v1($1, NULL, false, 'cancelled', $2, NULL, $3, NULL, NULL, NULL)"
_UNDO = "SELECT job_undo_v1($1, $2, $3, $4)"
_FILE = "SELECT file, file_bytes FROM jobs WHERE id = $1 AND file IS NOT NULL"

_decode_result = msgspec.json.Decoder(dict[str, int]).decode


class PgJobs:
    """The jobs of all accounts."""

    def __init__(
        self,
        database: Database,
        *,
        seal: Seal,
        replays: Seal,
        limits: QueueLimits,
        requests_per_minute: int = MOST_PER_MINUTE,
        tokens_per_minute: int = MOST_PER_MINUTE,
    ) -> None:
        """`seal` encrypts what is asked of jobs; `replays` is the ledger's, for calls that may be repeated."""
        self._database = database
        self._seal = seal
        self._replays = replays
        self._limits = limits
        #: For keys without limits of their own.
        self._per_minute = (requests_per_minute, tokens_per_minute)

    async def create(self, new: NewJob) -> Created:
        """Hold the job's price and put it into the queue, or neither. Raises `DatabaseUnavailable`."""
        owner = new.call_id.bytes
        sealed_url = None if new.webhook_url is None else self._seal.close(new.webhook_url.encode(), owner)
        key_mark, body_mark = marks_of(self._replays, new.repeatable)
        try:
            async with self._database.connection() as connection:
                row = await connection.fetchrow(
                    _CREATE,
                    new.id,
                    new.call_id,
                    new.account_id,
                    new.key_id,
                    new.price_nusd,
                    new.model,
                    new.engine,
                    self._seal.close(new.request, owner),
                    sealed_url,
                    key_mark,
                    body_mark,
                    None if new.reply is None else self._replays.close(new.reply, owner),
                    *self._per_minute,
                    self._limits.per_account,
                    self._limits.in_all,
                    new.kind,
                    new.characters,
                    new.character_nusd_per_1m,
                )
        except PostgresError as error:
            why = str(error.as_dict().get("detail"))
            if error.sqlstate != _REFUSED or why not in _REFUSALS:
                raise
            return _REFUSALS[why]
        return Created(hold_answer(row))

    async def find(self, job_id: int) -> JobView | None:
        """Return how a job stands, or None. Raises `DatabaseUnavailable`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND, job_id, FURTHEST_POSITION)
        return None if row is None else job_view(row)

    async def cancel(self, job_id: int, why: str) -> bool:
        """Cancel a job that has not ended: its hold is released, and whoever works on it stops. Whether it was so."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_CANCEL, job_id, CallOutcome.ABANDONED, why))

    async def undo(self, job_id: int, call_id: UUID, why: str) -> bool | None:
        """Cancel the job of a call that nobody waits for any more, unless the call was repeated and given the job again.

        Whether it was so; None: the call has no such job, or not yet. Raises `DatabaseUnavailable`.
        """
        async with self._database.connection() as connection:
            undone: bool | None = await connection.fetchval(_UNDO, job_id, call_id, CallOutcome.ABANDONED, why)
        return undone

    async def file(self, job_id: int) -> StoredFile | None:
        """Return where what a job made is kept; None: that is nothing, or not any more."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FILE, job_id)
        return None if row is None else StoredFile(*row)


def job_view(row: Mapping[str, Any]) -> JobView:
    """Return what a row of `jobs`, with the job's position, shows."""
    return JobView(
        row["id"], row["call_id"], row["account_id"], JobKind(row["kind"]), JobState(row["state"]), row["model"],
        row["progress"], row["position"], row["message"], row["cost"], _decode_result(row["result"]), row["created_at"],
        row["ended_at"], row["characters"], row["file"],
    )  # fmt: skip
