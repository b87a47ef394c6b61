"""What the queue of jobs does, said once more in plain Python, by the law of `core.jobs`: the database is run against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from minitoolai.core.jobs import ENDED, MAX_ATTEMPTS, MAX_FAILURES, TRANSITIONS, JobEvent, JobKind, JobState
from tests.support.ledger_model import ModelAccount, ModelKey


@dataclass
class ModelJob:
    """A job; its price in nano-dollars."""

    id: int
    account: int
    key: int
    price: int
    engine: str
    kind: JobKind
    tag: int
    state: JobState = JobState.QUEUED
    attempt: int = 0
    failures: int = 0

    @property
    def counts(self) -> bool:
        """Whether its owner's next job comes behind it: it waits, or was drawn."""
        return self.state is JobState.QUEUED or self.attempt > 0


@dataclass
class JobModel:
    """One database's jobs, one event after the other."""

    per_account: int
    accounts: dict[int, ModelAccount] = field(default_factory=dict)
    keys: dict[int, ModelKey] = field(default_factory=dict)
    #: In the order in which they were made.
    jobs: dict[int, ModelJob] = field(default_factory=dict)
    #: The tag of the job that was claimed last, by engine and kind.
    clocks: dict[tuple[str, JobKind], int] = field(default_factory=dict)
    charges: list[int] = field(default_factory=list)

    def create(self, job_id: int, key_id: int, price: int, engine: str, kind: JobKind) -> str:
        """Make a job; say what became of it: "made", "refused", "full", "taken"."""
        key = self.keys[key_id]
        account = self.accounts[key.account_id]
        if account.balance - account.held < price or (key.limit is not None and key.limit - key.spent - key.held < price):
            return "refused"
        mine = [job for job in self.jobs.values() if job.account == key.account_id]
        if sum(job.state is JobState.QUEUED for job in mine) >= self.per_account:
            return "full"
        if job_id in self.jobs:
            return "taken"
        last = max((job.tag for job in mine if (job.engine, job.kind) == (engine, kind) and job.counts), default=-1)
        tag = max(self.clocks.setdefault((engine, kind), 0), last + 1)
        self.jobs[job_id] = ModelJob(job_id, key.account_id, key_id, price, engine, kind, tag)
        account.held += price
        key.held += price
        return "made"

    def claim(self, engine: str, kind: JobKind, most: int) -> list[ModelJob]:
        """Take the next jobs of a kind of an engine: the lowest tags, of equal ones the oldest."""
        mine = [job for job in self.jobs.values() if (job.engine, job.kind) == (engine, kind)]
        waiting = [job for job in mine if job.state is JobState.QUEUED]
        taken = sorted(waiting, key=lambda job: job.tag)[:most]
        for job in taken:
            assert self.happens(job, JobEvent.CLAIM)
            self.clocks[engine, kind] = max(self.clocks[engine, kind], job.tag)
        return taken

    def happens(self, job: ModelJob, event: JobEvent, attempt: int | None = None, *, failed: bool = False) -> bool:
        """Let something happen to a job, in the name of an attempt where one is given; whether it counted."""
        after = TRANSITIONS.get((job.state, event))
        if after is None or (attempt is not None and (job.state is not JobState.RUNNING or job.attempt != attempt)):
            return False
        if failed and job.failures + 1 >= MAX_FAILURES:
            return False
        job.failures += failed
        if event is JobEvent.CLAIM:
            job.attempt += 1
        job.state = after
        if after in ENDED:
            due = job.price if after is JobState.SUCCEEDED else 0
            account, key = self.accounts[job.account], self.keys[job.key]
            account.held -= job.price
            account.balance -= due
            key.held -= job.price
            key.spent += due
            self.charges += [due] if due else []
        return True

    def lose(self, jobs: Iterable[ModelJob]) -> tuple[int, int]:
        """Let the workers of running jobs be dead; return how many were put back and how many failed."""
        retried = failed = 0
        for job in jobs:
            if job.attempt < MAX_ATTEMPTS and self.happens(job, JobEvent.RETRY):
                retried += 1
            else:
                failed += self.happens(job, JobEvent.FAIL)
        return retried, failed
