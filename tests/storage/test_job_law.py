"""The database follows the law of `core.jobs`: every event in every state, and random ones against the model."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from minitoolai.core.jobs import ENDED, MAX_ATTEMPTS, MIN_JOB_ID, TRANSITIONS, ClaimedJob, JobEvent, JobKind, JobState
from tests.storage.desk import Desk
from tests.storage.job_desk import FILE, SPEECH, Customer, JobDesk, granted
from tests.support.job_model import JobModel, ModelJob
from tests.support.ledger_model import ModelAccount, ModelKey

#: Prices are so small and credit so short that every bound is met again and again.
MOST = 100
ENGINES = ("one", "two")
PER_ACCOUNT = 4


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("event", JobEvent)
async def test_every_event_in_every_state(desk: Desk, state: JobState, event: JobEvent) -> None:
    """It makes of the job what the table says; what is not in the table changes nothing."""
    jobs = JobDesk(desk)
    worker = jobs.worker()
    new = await jobs.ask(await jobs.customer())
    job = ClaimedJob(new.id, new.call_id, new.kind, 1, "m", new.engine, b"", (await jobs.look(new.id)).created_at)
    if state in (JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED):
        job = await jobs.claimed(worker)
    if state is JobState.SUCCEEDED:
        assert await worker.complete(job, "e", FILE, {})
    elif state is JobState.FAILED:
        assert await worker.fail(job, "why")
    elif state is JobState.CANCELLED:
        assert await jobs.jobs.cancel(new.id, "why")
    before = await jobs.row(new.id)
    assert before["state"] == state
    ways: dict[JobEvent, Callable[[], Awaitable[object]]] = {
        JobEvent.CLAIM: lambda: worker.claim(new.engine, new.kind, 1),
        JobEvent.RETRY: lambda: worker.retry(job, 0),
        JobEvent.COMPLETE: lambda: worker.complete(job, "e", FILE, {"seed": 7}),
        JobEvent.FAIL: lambda: worker.fail(job, "why") if state is not JobState.QUEUED else worker.sweep(-1),
        JobEvent.CANCEL: lambda: jobs.jobs.cancel(new.id, "why"),
    }
    after = TRANSITIONS.get((state, event))
    assert _did(await ways[event]()) is (after is not None)
    row = await jobs.row(new.id)
    assert row["state"] == (after or state)
    if after is None:
        assert row == before
    await desk.clean()


def _did(answer: object) -> bool:
    """Return whether something happened: jobs were given, a write counted, a sweep found something."""
    return any(answer) if isinstance(answer, tuple) else bool(answer)


class Play:
    """Random events, each done to the database and to the model."""

    def __init__(self, desk: Desk, chance: random.Random) -> None:
        self._desk = desk
        self._chance = chance
        self._jobs = JobDesk(desk, per_account=PER_ACCOUNT)
        self._model = JobModel(PER_ACCOUNT)
        self._workers = [self._jobs.worker() for _ in range(3)]
        #: Every attempt that ever was, with the number of its worker.
        self._attempts: list[tuple[ClaimedJob, int]] = []
        self._customers: list[Customer] = []
        self.seen: set[str] = set()

    async def open(self) -> None:
        """Make three accounts with two keys each, one of them limited."""
        for _ in range(3):
            account = await self._desk.account(6 * MOST)
            self._model.accounts[account] = ModelAccount(6 * MOST)
            for limit in (None, 2 * MOST):
                key = await self._desk.key(account, limit)
                self._model.keys[key] = ModelKey(account, limit)
                self._customers.append(Customer(account, key))

    async def act(self) -> None:
        """Let something happen."""
        steps = [self.create, self.claim, self.write, self.renew, self.cancel, self.die, self.wait, self.pay]
        (step,) = self._chance.choices(steps, [34, 20, 30, 5, 6, 7, 1, 2])
        await step()
        await self.compare()

    async def create(self) -> None:
        """Ask for a job, now and then by an id that is taken."""
        who = self._chance.choice(self._customers)
        more = self._chance.choice([{}, SPEECH])
        new = self._jobs.new(who, price_nusd=self._chance.randint(0, MOST), engine=self._chance.choice(ENGINES), **more)
        if self._model.jobs and self._chance.random() < 0.1:
            new = self._jobs.new(who, id=self._chance.choice(list(self._model.jobs)), price_nusd=new.price_nusd)
        said = self._model.create(new.id, who.key, new.price_nusd, new.engine, new.kind)
        created = await self._jobs.jobs.create(new)
        word = "taken" if created.id_taken else "full" if created.full else "made" if granted(created) else "refused"
        assert word == said
        self.seen.add(word)

    async def claim(self) -> None:
        """Let a worker take some."""
        engine, kind = self._chance.choice(ENGINES), self._chance.choice(list(JobKind))
        most, number = self._chance.randint(1, 3), self._chance.randrange(3)
        taken = await self._workers[number].claim(engine, kind, most)
        said = self._model.claim(engine, kind, most)
        assert [(job.id, job.kind, job.attempt) for job in taken] == [(job.id, kind, job.attempt) for job in said]
        self._attempts += [(job, number) for job in taken]

    async def write(self) -> None:
        """Let an attempt end, or one that was given up try to."""
        if not self._attempts:
            return
        job, number = self._chance.choice(self._attempts[-30:])
        worker, model = self._workers[number], self._model.jobs[job.id]
        event = self._chance.choice([JobEvent.COMPLETE, JobEvent.COMPLETE, JobEvent.RETRY, JobEvent.FAIL])
        stopped = event is JobEvent.RETRY and self._chance.random() < 0.3
        said = self._model.happens(model, event, job.attempt, failed=event is JobEvent.RETRY and not stopped)
        if event is JobEvent.COMPLETE:
            did = await worker.complete(job, "e", FILE, {"seed": job.attempt})
        elif event is JobEvent.RETRY:
            did = await (worker.put_back(job) if stopped else worker.retry(job, 0))
        else:
            did = await worker.fail(job, "why")
        assert did is said
        self.seen.add(f"{event} {'done' if did else 'stale'}")

    async def renew(self) -> None:
        """Let a worker speak of all that it ever had."""
        number = self._chance.randrange(3)
        had = {(job.id, job.attempt): 0.5 for job, whose in self._attempts if whose == number}
        lost = await self._workers[number].renew(had)
        kept = {id_ for id_, attempt in had if self._running(id_) and self._model.jobs[id_].attempt == attempt}
        assert lost == {id_ for id_, _ in had} - kept
        self.seen |= {"lost"} if lost else set()

    async def cancel(self) -> None:
        """Let an owner not want a job any more."""
        if self._model.jobs:
            model = self._chance.choice(list(self._model.jobs.values())[-30:])
            did = await self._jobs.jobs.cancel(model.id, "why")
            assert did is self._model.happens(model, JobEvent.CANCEL)
            self.seen.add(f"cancel {'done' if did else 'late'}")

    async def die(self) -> None:
        """Let some running jobs' workers be dead, and sweep."""
        running = [job for job in self._model.jobs.values() if job.state is JobState.RUNNING]
        lost = self._chance.sample(running, min(len(running), 3))
        if lost and self._chance.random() < 0.5:  # this one's workers died again and again
            lost[0].attempt = MAX_ATTEMPTS
            await self._desk.sql("UPDATE jobs SET attempt = $1 WHERE id = $2", MAX_ATTEMPTS, lost[0].id)
        await self._jobs.lapse(*[job.id for job in lost])
        counts = await self._chance.choice(self._workers).sweep(3600)
        assert counts == self._model.lose(lost)
        self.seen |= {"put back"} if counts[0] else set()
        self.seen |= {"given up"} if counts[1] else set()

    async def wait(self) -> None:
        """Let everything that waits have waited too long."""
        waiting = [job for job in self._model.jobs.values() if job.state is JobState.QUEUED]
        assert await self._workers[0].sweep(-1) == (0, len(waiting))
        assert all(self._model.happens(job, JobEvent.FAIL) for job in waiting)

    async def pay(self) -> None:
        """Let a customer pay something in."""
        who = self._chance.choice(self._customers)
        amount = self._chance.randint(1, 4 * MOST)
        await self._desk.credit((await self._desk.accounts.show_by_id(who.account)).name, amount)
        self._model.accounts[who.account].balance += amount

    async def compare(self) -> None:
        """Assert that jobs, accounts and keys are what the model says, and that nobody owes anything."""
        rows = await self._desk.sql("SELECT id, state, attempt, failures, tag, cost FROM jobs")
        assert {row["id"]: tuple(row)[1:] for row in rows} == {
            job.id: (job.state, job.attempt, job.failures, job.tag, self._cost(job)) for job in self._model.jobs.values()
        }
        rows = await self._desk.sql("SELECT id, balance, held FROM accounts")
        assert {row["id"]: (row["balance"], row["held"]) for row in rows} == {
            number: (account.balance, account.held) for number, account in self._model.accounts.items()
        }
        assert all(account.balance >= account.held >= 0 for account in self._model.accounts.values())
        rows = await self._desk.sql("SELECT id, spent, held FROM keys")
        assert {row["id"]: (row["spent"], row["held"]) for row in rows} == {
            number: (key.spent, key.held) for number, key in self._model.keys.items()
        }

    async def close(self) -> None:
        """Assert that the charges are the model's, and that the ledger agrees with itself."""
        assert sorted(amount for _, amount in await self._jobs.charges()) == sorted(self._model.charges)
        await self._desk.clean()
        ended = [job for job in self._model.jobs.values() if job.state in ENDED]
        spoken = [job for job in ended if job.kind is JobKind.SPEECH and job.state is JobState.SUCCEEDED]
        assert len(await self._desk.sql("SELECT 1 FROM usage_records WHERE characters = 5000")) == len(spoken)
        assert len(await self._desk.sql("SELECT 1 FROM usage_records")) == len(ended)
        assert all(job.id >= MIN_JOB_ID for job in ended)

    def _running(self, job_id: int) -> bool:
        return self._model.jobs[job_id].state is JobState.RUNNING

    @staticmethod
    def _cost(job: ModelJob) -> int:
        return job.price if job.state is JobState.SUCCEEDED else 0


async def test_random_events_follow_the_model(desk: Desk, seed: int) -> None:
    """Some hundred events of every kind: each answer, every job and every balance is as the model says."""
    play = Play(desk, random.Random(seed))
    await play.open()
    for _ in range(600):
        await play.act()
    await play.close()
    assert play.seen >= {
        "made", "refused", "full", "taken", "complete done", "complete stale", "retry done", "retry stale", "fail done",
        "fail stale", "lost", "cancel done", "cancel late", "put back", "given up",
    }  # fmt: skip


@pytest.mark.long
async def test_random_events_follow_the_model_for_long(desk: Desk, seed: int) -> None:
    """Many thousands of them."""
    play = Play(desk, random.Random(seed + 1))
    await play.open()
    for _ in range(10_000):
        await play.act()
    await play.close()
