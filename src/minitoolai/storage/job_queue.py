"""The queue of jobs as workers see it: claimed, kept, ended; and what is done for those whose worker died."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from asyncpg import PostgresError

from minitoolai.core.jobs import MAX_ATTEMPTS, MAX_FAILURES, ClaimedJob, JobKind, StoredFile
from minitoolai.core.ledger import CallOutcome
from minitoolai.storage.database import Database
from minitoolai.storage.seal import Seal

#: A worker that says nothing for so long is dead: its jobs are tried anew.
LEASE_S = 15.0
#: Jobs of one sweep at most.
SWEEP_MOST = 200
#: What owners are told of jobs that no worker ended.
LOST = "Its worker died, again and again. Nothing was charged; send it again."
WAITED = "No worker took it in time. Nothing was charged; send it again later."

_CLAIM = "SELECT * FROM job_claim_v2($1, $2, $3, $4, $5)"
_RENEW = "SELECT * FROM job_renew_v1($1, $2, $3, $4, $5)"
_END = "SELECT job_end_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_RETRY = "SELECT job_retry_v1($1, $2, $3, $4, $5)"
_LAPSED = "SELECT id, attempt FROM jobs WHERE state = 'running' AND lease_until < clock_timestamp() LIMIT $1"
_WAITED = """SELECT id FROM jobs WHERE state = 'queued' AND created_at < clock_timestamp() - $2::interval
    ORDER BY created_at LIMIT $1"""
_OUTLIVED = """SELECT id, file, file_bytes FROM jobs WHERE ended_at < clock_timestamp() - $2::interval
    ORDER BY ended_at LIMIT $1"""
_KNOWN = """SELECT j.file FROM unnest($1::text[]) AS n (name)
    JOIN jobs j ON j.id = substring(n.name from '/([0-9]{10,16})-[0-9]+[.][a-z0-9]+$')::bigint AND j.file = n.name"""
_FORGET = """DELETE FROM jobs WHERE id IN (
    SELECT id FROM jobs WHERE id = ANY ($1) AND ended_at IS NOT NULL FOR UPDATE SKIP LOCKED)"""
_DEPTHS = "SELECT engine, state, count(*) AS jobs FROM jobs WHERE state IN ('queued', 'running') GROUP BY 1, 2"

#: What `job_end_v1` raises of a job whose hold is not there: the ledger does not agree with itself.
_HOLD_GONE = "MT002"

_encode = msgspec.json.Encoder().encode

log = logging.getLogger(__name__)


class PgJobQueue:
    """The queue of one database, for one worker."""

    def __init__(self, database: Database, worker_id: UUID, seal: Seal, *, lease_s: float = LEASE_S) -> None:
        """`seal`: as `PgJobs` encrypts with."""
        self._database = database
        self._worker_id = worker_id
        self._seal = seal
        self._lease = timedelta(seconds=lease_s)

    async def claim(self, engine: str, kind: JobKind, most: int) -> list[ClaimedJob]:
        """Take up to `most` jobs of a kind of an engine, in the order of the queue. Raises `DatabaseUnavailable`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CLAIM, self._worker_id, engine, kind, most, self._lease)
        rows.sort(key=lambda row: (row["tag"], row["created_at"], row["id"]))
        return [
            ClaimedJob(
                row["id"], row["call_id"], JobKind(row["kind"]), row["attempt"], row["model"], row["engine"],
                self._seal.open(row["request"], row["call_id"].bytes), row["created_at"], row["failures"],
            )
            for row in rows
        ]  # fmt: skip

    async def renew(self, progress: Mapping[tuple[int, int], float]) -> set[int]:
        """Keep the jobs in hand, by id and attempt, and note how much of each is done; return those that are lost."""
        if not progress:
            return set()
        ids, attempts = [job for job, _ in progress], [attempt for _, attempt in progress]
        async with self._database.connection() as connection:
            rows = await connection.fetch(_RENEW, self._worker_id, self._lease, ids, attempts, list(progress.values()))
        return {row[0] for row in rows}

    async def complete(self, job: ClaimedJob, engine: str, file: StoredFile, result: Mapping[str, int]) -> bool:
        """Note where what a job made is and charge it, both or neither; False: the job is not this attempt's any more."""
        return await self._end(
            job.id, job.attempt, "succeeded", CallOutcome.COMPLETED, engine=engine, file=file, result=result
        )

    async def retry(self, job: ClaimedJob, wait_s: float) -> bool:
        """Put a job back after an attempt that failed; False: it is not ours any more, or failed too often."""
        return await self._retry(job.id, job.attempt, "failed", MAX_FAILURES, wait_s)

    async def put_back(self, job: ClaimedJob) -> bool:
        """Put a job back that nothing is wrong with, for whoever comes; False: it is not ours any more."""
        return await self._retry(job.id, job.attempt, "stopped")

    async def fail(self, job: ClaimedJob, message: str) -> bool:
        """End a job that cannot succeed, with nothing charged; False: it is not ours any more."""
        return await self._end(job.id, job.attempt, "failed", CallOutcome.FAILED, message=message)

    async def sweep(self, max_wait_s: float) -> tuple[int, int]:
        """Put back the jobs of dead workers, fail those that cannot be tried again or waited too long.

        Returns how many were put back, and how many failed. Several sweepers do no harm. Raises `DatabaseUnavailable`.
        """
        async with self._database.connection() as connection:
            lapsed = await connection.fetch(_LAPSED, SWEEP_MOST)
            waited = await connection.fetch(_WAITED, SWEEP_MOST, timedelta(seconds=max_wait_s))
        retried = failed = 0
        for job, attempt in lapsed:
            if await self._retry(job, attempt, "lapsed", MAX_ATTEMPTS):
                retried += 1
            else:
                failed += await self._give_up(job, attempt, lapsed=True, message=LOST)
        for (job,) in waited:
            failed += await self._give_up(job, None, message=WAITED)
        return retried, failed

    async def outlived(self, retention_s: float, most: int) -> list[tuple[int, StoredFile | None]]:
        """Return jobs that ended longer ago than they are kept, and what they made, the oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_OUTLIVED, most, timedelta(seconds=retention_s))
        return [(job, StoredFile(name, size) if name else None) for job, name, size in rows]

    async def known(self, names: Sequence[str]) -> set[str]:
        """Return which of these files are those of jobs."""
        async with self._database.connection() as connection:
            return {row[0] for row in await connection.fetch(_KNOWN, list(names))}

    async def forget(self, job_ids: Sequence[int]) -> None:
        """Erase jobs that have ended."""
        async with self._database.connection() as connection:
            await connection.execute(_FORGET, list(job_ids))

    async def depths(self) -> dict[tuple[str, str], int]:
        """Return how many jobs wait or run, by engine and state."""
        async with self._database.connection() as connection:
            return {(engine, state): jobs for engine, state, jobs in await connection.fetch(_DEPTHS)}

    async def _retry(self, job: int, attempt: int, why: str, most: int | None = None, wait_s: float = 0.0) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_RETRY, job, attempt, why, most, timedelta(seconds=wait_s)))

    async def _give_up(self, job: int, attempt: int | None, *, lapsed: bool = False, message: str) -> bool:
        """Fail a job; one whose hold is gone is left as it stands, and keeps no other from being swept."""
        try:
            return await self._end(job, attempt, "failed", CallOutcome.FAILED, lapsed=lapsed, message=message)
        except PostgresError as error:
            if error.sqlstate != _HOLD_GONE:
                raise
            log.error("job %d has no hold: run `minitoolai ledger verify`", job)
            return False

    async def _end(
        self,
        job: int,
        attempt: int | None,
        state: str,
        outcome: CallOutcome,
        *,
        lapsed: bool = False,
        engine: str | None = None,
        message: str | None = None,
        file: StoredFile | None = None,
        result: Mapping[str, int] | None = None,
    ) -> bool:
        name, size = (file.name, file.size_bytes) if file else (None, None)
        facts = None if result is None else _encode(result).decode()
        async with self._database.connection() as connection:
            return bool(
                await connection.fetchval(_END, job, attempt, lapsed, state, outcome, engine, message, facts, name, size)
            )
