"""Jobs on a desk: customers who ask for them, workers that draw them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from minitoolai.core.jobs import MIN_JOB_ID, ClaimedJob, Created, JobKind, JobState, JobView, NewJob, QueueLimits, StoredFile
from minitoolai.core.ledger import HoldOutcome
from minitoolai.storage.job_queue import PgJobQueue
from minitoolai.storage.jobs import PgJobs
from tests.storage.desk import SEAL, Desk, new_id

#: What a job costs where a test does not say, in nano-dollars.
PRICE = 10
ENGINE = "e"
FILE = StoredFile("pictures/2026-11-25/x.png", 9)
#: A text of 5000 characters, at as many nano-dollars a million that it costs `PRICE`.
SPEECH: dict[str, Any] = {"kind": JobKind.SPEECH, "characters": 5000, "character_nusd_per_1m": 2000}
SOUND = StoredFile("speech/2026-11-25/x.mp3", 9)


@dataclass(frozen=True)
class Customer:
    """An account and a key of it."""

    account: int
    key: int


class JobDesk:
    """One database's jobs."""

    def __init__(self, desk: Desk, **limits: int) -> None:
        self.desk = desk
        self.jobs = self.shop(**limits)
        self._ids = itertools.count(MIN_JOB_ID)

    def shop(self, *, rpm: int = 2**31 - 1, **limits: int) -> PgJobs:
        """Return the jobs as another process sees them, by other limits."""
        bounds = QueueLimits(**{"per_account": 10_000, "in_all": 100_000, **limits})
        return PgJobs(self.desk.database, seal=SEAL, replays=SEAL, limits=bounds, requests_per_minute=rpm)

    async def customer(self, balance_nusd: int = 10**6, **terms: Any) -> Customer:
        """Make an account with a balance, and a key of it."""
        account = await self.desk.account(balance_nusd)
        return Customer(account, await self.desk.key(account, **terms))

    def new(self, who: Customer, **more: Any) -> NewJob:
        """Return a job that a customer may ask for."""
        fields: dict[str, Any] = {
            "id": next(self._ids), "call_id": new_id(), "account_id": who.account, "key_id": who.key, "price_nusd": PRICE,
            "model": "m", "engine": ENGINE, "request": b"canary prompt", **more,
        }  # fmt: skip
        return NewJob(**fields)

    async def ask(self, who: Customer, **more: Any) -> NewJob:
        """Make a job that is granted."""
        new = self.new(who, **more)
        created = await self.jobs.create(new)
        assert granted(created), created
        return new

    async def asks(self, who: Customer, number: int, **more: Any) -> list[int]:
        """Make so many jobs one after the other; return their ids."""
        return [(await self.ask(who, **more)).id for _ in range(number)]

    def worker(self, worker_id: UUID | None = None, *, lease_s: float = 3600.0) -> PgJobQueue:
        """Return the queue as one worker sees it, with a lease that no slow machine lets lapse unasked."""
        return PgJobQueue(self.desk.database, worker_id or new_id(), SEAL, lease_s=lease_s)

    async def claimed(self, worker: PgJobQueue, engine: str = ENGINE, kind: JobKind = JobKind.PICTURE) -> ClaimedJob:
        """Let a worker take the next job."""
        (job,) = await worker.claim(engine, kind, 1)
        return job

    async def look(self, job_id: int) -> JobView:
        """Return how a job stands."""
        found = await self.jobs.find(job_id)
        assert found is not None
        return found

    async def state(self, job_id: int) -> JobState:
        """Return a job's state."""
        return (await self.look(job_id)).state

    async def lapse(self, *job_ids: int) -> None:
        """Let the leases of jobs run out."""
        await self.desk.sql("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = ANY ($1)", list(job_ids))

    async def age(self, seconds: float, *job_ids: int) -> None:
        """Make jobs older."""
        statement = """UPDATE jobs SET created_at = created_at - make_interval(secs => $1),
            ended_at = ended_at - make_interval(secs => $1) WHERE id = ANY ($2)"""
        await self.desk.sql(statement, seconds, list(job_ids))

    async def row(self, job_id: int) -> dict[str, Any]:
        """Return a job as it is stored."""
        (row,) = await self.desk.sql("SELECT * FROM jobs WHERE id = $1", job_id)
        return dict(row)

    async def charges(self) -> list[tuple[UUID, int]]:
        """Return every capture: the call and the amount."""
        rows = await self.desk.sql("SELECT id, amount FROM transfers WHERE kind = 2 ORDER BY id")
        return [(row["id"], row["amount"]) for row in rows]

    async def unchanged(self, who: Customer, balance_nusd: int) -> None:
        """Assert that a refused call left nothing behind: no job, no hold, no repeat, no call of the key's minute."""
        assert await self.desk.money(who.account) == (balance_nusd, 0)
        for table in ("jobs", "holds", "replays", "job_clocks"):
            assert await self.desk.sql(f"SELECT 1 FROM {table}") == [], table
        (key,) = await self.desk.sql("SELECT held, minute_requests FROM keys WHERE id = $1", who.key)
        assert tuple(key) == (0, 0)


def granted(created: Created) -> bool:
    """Return whether a job was made."""
    return created.answer.outcome is HoldOutcome.GRANTED and not created.full and not created.id_taken
