"""Everybody at once, over connections of their own: customers, workers, cancellers, sweepers, chats of the same accounts."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from minitoolai.core.jobs import ENDED, MAX_ATTEMPTS, ClaimedJob, JobKind, JobState, QueueLimits
from minitoolai.core.ledger import HoldOutcome
from minitoolai.storage.database import Database
from minitoolai.storage.job_queue import PgJobQueue
from minitoolai.storage.jobs import PgJobs
from tests.storage.desk import SEAL, Desk, ask, cost, new_id
from tests.storage.job_desk import FILE, SPEECH, Customer, JobDesk, granted

ENGINES = ("one", "two")
CUSTOMERS, MAKERS, WORKERS, CANCELLERS, SWEEPERS, CHATS = 4, 6, 6, 2, 3, 2
#: A job takes a hundredth of a second; where all together take so much each, somebody waits for ever.
PATIENCE_S = 0.4


@dataclass
class Crowd:
    """What everybody works on, and what they were told."""

    desk: Desk
    database: Database
    chance: random.Random
    customers: list[Customer]
    #: Jobs that each maker asks for.
    jobs_each: int
    #: Jobs that were made, and what each kind of end was told to have done.
    made: list[int] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    over: bool = False

    def __post_init__(self) -> None:
        self.jobs = PgJobs(self.database, seal=SEAL, replays=SEAL, limits=QueueLimits(per_account=60, in_all=200))
        self.news = JobDesk(self.desk)

    def worker(self) -> PgJobQueue:
        """Return a worker's queue."""
        return PgJobQueue(self.database, new_id(), SEAL, lease_s=3600)

    async def make(self) -> None:
        """Ask for jobs; where too many wait, after a pause."""
        for _ in range(self.jobs_each):
            while True:
                new = self.news.new(
                    self.chance.choice(self.customers),
                    engine=self.chance.choice(ENGINES),
                    price_nusd=self.chance.randrange(50),
                    **self.chance.choice([{}, SPEECH]),
                )
                created = await self.jobs.create(new)
                if granted(created):
                    self.made.append(new.id)
                    break
                assert created.full, created
                await asyncio.sleep(0.01)

    async def work(self) -> None:
        """Draw jobs, die over some, lose some, fail some."""
        queue = self.worker()
        while not self.over:
            for engine, kind in itertools.product(ENGINES, JobKind):
                for job in await queue.claim(engine, kind, self.chance.randint(1, 3)):
                    assert job.kind is kind
                    await self.draw(queue, job)
            await asyncio.sleep(0)

    async def draw(self, queue: PgJobQueue, job: ClaimedJob) -> None:
        """Let an attempt go one way or another, and then try to end it once more."""
        await queue.renew({(job.id, job.attempt): self.chance.random()})
        fate = self.chance.choices(["complete", "retry", "stop", "fail", "die"], [55, 15, 5, 5, 20])[0]
        if fate == "die":
            await self.desk.sql(
                "UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1 AND attempt = $2", job.id, job.attempt
            )
            if self.chance.random() < 0.5:
                return
            await asyncio.sleep(0.02 * self.chance.random())
            fate = "complete"  # it was alive after all
        if fate == "stop":
            await queue.put_back(job)
            return
        if fate == "retry":
            if await queue.retry(job, 0):
                return
            fate = "fail"
        if fate == "complete":
            did = await queue.complete(job, "e", FILE, {"seed": job.attempt})
            self.ends["succeeded"] += did
        else:
            did = await queue.fail(job, "why")
            self.ends["failed"] += did
        twice = await queue.complete(job, "e", FILE, {})
        self.ends["twice"] += twice

    async def cancel(self) -> None:
        """Cancel any jobs, whatever their state."""
        while not self.over:
            if self.made:
                did = await self.jobs.cancel(self.chance.choice(self.made[-60:]), "why")
                self.ends["cancelled"] += did
            await asyncio.sleep(0.02)

    async def sweep(self) -> None:
        """Sweep without a pause."""
        queue = self.worker()
        while not self.over:
            _, failed = await queue.sweep(3600)
            self.ends["failed"] += failed
            await asyncio.sleep(0.005)

    async def chat(self) -> None:
        """Make calls that hold and pay from the same accounts."""
        ledger = await self.desk.ledger()
        while not self.over:
            asked = [ask(who.account, who.key, 9) for who in self.chance.sample(self.customers, 3)]
            answers = await asyncio.gather(*[ledger.hold(request) for request in asked])
            assert {answer.outcome for answer in answers} == {HoldOutcome.GRANTED}
            await asyncio.gather(*[ledger.settle(cost(request.id, 3)) for request in asked])

    async def finish(self, making: list[asyncio.Task[None]]) -> None:
        """Wait until all is made and nothing is open."""
        await asyncio.gather(*making)
        while await self.desk.sql("SELECT 1 FROM jobs WHERE state IN ('queued', 'running') LIMIT 1"):
            await asyncio.sleep(0.02)
        self.over = True


async def hammer(desk: Desk, seed: int, jobs_each: int) -> None:
    """Let everybody go at once until all jobs have ended, and look at what they left."""
    jobs = JobDesk(desk)
    database = Database(desk.url, pool_size=24)
    customers = [await jobs.customer(10**9) for _ in range(CUSTOMERS)]
    crowd = Crowd(desk, database, random.Random(seed), customers, jobs_each)
    try:
        async with asyncio.timeout(MAKERS * jobs_each * PATIENCE_S), asyncio.TaskGroup() as group:
            making = [group.create_task(crowd.make()) for _ in range(MAKERS)]
            for number, play in (
                (WORKERS, crowd.work), (CANCELLERS, crowd.cancel), (SWEEPERS, crowd.sweep), (CHATS, crowd.chat),
            ):  # fmt: skip
                for _ in range(number):
                    group.create_task(play())
            group.create_task(crowd.finish(making))
    finally:
        await database.close()
    rows = await desk.sql("SELECT * FROM jobs")
    assert sorted(row["id"] for row in rows) == sorted(crowd.made)
    assert len(crowd.made) == MAKERS * jobs_each
    states = Counter(row["state"] for row in rows)
    assert set(states) == ENDED
    assert {state: crowd.ends[state] for state in states} == states
    assert crowd.ends["twice"] == 0
    assert max(row["attempt"] for row in rows) <= MAX_ATTEMPTS
    calls = {row["call_id"] for row in rows}
    paid = {(row["call_id"], row["price"]) for row in rows if row["state"] == JobState.SUCCEEDED and row["price"]}
    charges = [charge for charge in await jobs.charges() if charge[0] in calls]
    assert (set(charges), len(charges)) == (paid, len(paid))
    for who in crowd.customers:
        assert (await desk.money(who.account))[1] == 0
    (server,) = await desk.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert server["deadlocks"] == 0
    await desk.clean()


async def test_everybody_at_once(desk: Desk, seed: int) -> None:
    """Each job ends in exactly one way, what succeeded was charged once and nothing else was, no deadlock, nothing held."""
    await hammer(desk, seed, 50)


@pytest.mark.long
async def test_everybody_at_once_for_long(desk: Desk, seed: int) -> None:
    """Thousands of jobs."""
    await hammer(desk, seed + 1, 2000)
