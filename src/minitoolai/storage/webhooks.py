"""Webhooks that are due: claimed by whoever tells them, taken away once they are told or given up."""

from __future__ import annotations

from datetime import timedelta

from minitoolai.core.webhooks import WAITS_S, DueWebhook
from minitoolai.storage.database import Database
from minitoolai.storage.jobs import job_view
from minitoolai.storage.seal import Seal

#: The next webhooks, each account's first before any account's second: one that has many, or slow ones, holds up nobody
#: else's. Claiming one puts off its next attempt: whoever claimed it may die.
_CLAIM = """
WITH ranked AS (
    SELECT job_id, next_at, row_number() OVER (PARTITION BY account_id ORDER BY next_at) AS turn
    FROM webhooks WHERE next_at <= clock_timestamp()
), due AS (
    SELECT w.job_id FROM webhooks w JOIN ranked r USING (job_id)
    WHERE w.next_at <= clock_timestamp()
    ORDER BY r.turn, r.next_at LIMIT $1 FOR UPDATE OF w SKIP LOCKED
), claimed AS (
    UPDATE webhooks w SET attempts = w.attempts + 1,
        next_at = clock_timestamp() + ($2::interval[])[least(w.attempts + 1, cardinality($2::interval[]))]
    FROM due WHERE w.job_id = due.job_id RETURNING w.job_id, w.url, w.attempts
)
SELECT c.url, c.attempts, j.id, j.call_id, j.account_id, j.kind, j.state, j.model, j.progress, NULL AS position, j.message,
    j.cost, j.result, j.created_at, j.ended_at, j.characters, j.file
FROM claimed c JOIN jobs j ON j.id = c.job_id"""
_FORGET = "DELETE FROM webhooks WHERE job_id = $1"

_WAITS = [timedelta(seconds=wait_s) for wait_s in WAITS_S]


class PgWebhooks:
    """The webhooks of all jobs."""

    def __init__(self, database: Database, seal: Seal) -> None:
        """`seal`: as `PgJobs` encrypts with."""
        self._database = database
        self._seal = seal

    async def claim(self, most: int) -> list[DueWebhook]:
        """Return up to `most` webhooks that are to be told now; they are due again after `WAITS_S`. Raises
        `DatabaseUnavailable`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CLAIM, most, _WAITS)
        return [
            DueWebhook(job_view(row), self._seal.open(row["url"], row["call_id"].bytes).decode(), row["attempts"])
            for row in rows
        ]

    async def forget(self, job_id: int) -> None:
        """Tell a job's end no more. Raises `DatabaseUnavailable`."""
        async with self._database.connection() as connection:
            await connection.execute(_FORGET, job_id)
