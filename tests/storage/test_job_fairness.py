"""Who is drawn next: accounts share an engine evenly, whatever waits before them; one account's jobs keep their order."""

from __future__ import annotations

import random

from minitoolai.core.jobs import JobKind
from minitoolai.storage.job_queue import PgJobQueue
from tests.storage.desk import Desk
from tests.storage.job_desk import ENGINE, FILE, JobDesk


async def drawn(desk: JobDesk, worker: PgJobQueue, number: int, engine: str = ENGINE) -> list[int]:
    """Let a worker draw so many jobs one after the other; return whose they were, by account."""
    whose = []
    for _ in range(number):
        job = await desk.claimed(worker, engine)
        assert await worker.complete(job, engine, FILE, {})
        whose.append((await desk.look(job.id)).account_id)
    return whose


async def test_one_accounts_jobs_keep_their_order(desk: Desk) -> None:
    """First come, first drawn, one by one and several at once."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    made = await jobs.asks(who, 30)
    taken = [(await jobs.claimed(worker)).id for _ in range(10)]
    taken += [job.id for _ in range(4) for job in await worker.claim(ENGINE, JobKind.PICTURE, 5)]
    assert taken == made


async def test_a_small_account_is_next_whatever_waits(desk: Desk) -> None:
    """Beside a thousand jobs of another account its first comes after at most one job for each worker."""
    jobs = JobDesk(desk)
    large, small = await jobs.customer(), await jobs.customer()
    workers = [jobs.worker() for _ in range(3)]
    await jobs.asks(large, 1000)
    for worker in workers:
        await jobs.claimed(worker)
    (late,) = await jobs.asks(small, 1)
    assert (await jobs.look(late)).position == 1
    assert (await jobs.claimed(workers[0])).id == late
    (second,) = await jobs.asks(small, 1)
    assert second in [(await jobs.claimed(worker)).id for worker in workers[:2]]
    await desk.clean()


async def test_three_accounts_share_evenly(desk: Desk, seed: int) -> None:
    """Backlogs of 5, 40 and 200, asked for in any order: while all wait, each gets every third job, and what one does not
    need the others share."""
    jobs, chance = JobDesk(desk), random.Random(seed)
    whose = [await jobs.customer() for _ in range(3)]
    asked = [whose[0]] * 5 + [whose[1]] * 40 + [whose[2]] * 200
    chance.shuffle(asked)
    for who in asked:
        await jobs.ask(who)
    worker = jobs.worker()
    first = await drawn(jobs, worker, 15)
    assert [first.count(who.account) for who in whose] == [5, 5, 5]
    then = await drawn(jobs, worker, 40)
    assert [then.count(who.account) for who in whose] == [0, 20, 20]
    await desk.clean()


async def test_a_cancelled_backlog_harms_nobody(desk: Desk) -> None:
    """Neither its owner, whose next job does not queue behind what is not wanted any more, nor the others."""
    jobs = JobDesk(desk)
    fickle, steady = await jobs.customer(), await jobs.customer()
    unwanted = await jobs.asks(fickle, 50)
    worker = jobs.worker()
    await drawn(jobs, worker, 1)
    for job in unwanted[1:]:
        assert await jobs.jobs.cancel(job, "not wanted")
    mine = await jobs.asks(steady, 10)
    (wanted,) = await jobs.asks(fickle, 1)
    taken = [(await jobs.claimed(worker)).id for _ in range(3)]
    assert wanted in taken
    assert taken[0] == mine[0]
    await desk.clean()


async def test_whoever_asks_again_at_once_gets_no_more(desk: Desk) -> None:
    """An account that asks for its next job before the worker comes back does not pass one that waits: what was drawn
    counts."""
    jobs = JobDesk(desk)
    waiting, asking = await jobs.customer(), await jobs.customer()
    await jobs.asks(waiting, 20)
    worker = jobs.worker()
    whose: list[int] = []
    for _ in range(20):
        if whose[-1:] in ([], [asking.account]):
            await jobs.ask(asking)
        whose += await drawn(jobs, worker, 1)
    assert 9 <= whose.count(asking.account) <= 11
    await desk.clean()


async def test_a_job_that_is_tried_again_keeps_its_place(desk: Desk) -> None:
    """It is next once its pause is over; until then the others are drawn."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    first, second, third = await jobs.asks(who, 3)
    job = await jobs.claimed(worker)
    assert await worker.retry(job, 3600)
    assert [(await jobs.look(id_)).position for id_ in (first, second, third)] == [1, 2, 3]
    assert (await jobs.claimed(worker)).id == second
    await desk.sql("UPDATE jobs SET not_before = now()")
    again = await jobs.claimed(worker)
    assert (again.id, again.attempt) == (first, 2)
    assert (await jobs.claimed(worker)).id == third


async def test_engines_have_queues_of_their_own(desk: Desk) -> None:
    """A worker gets the jobs of the engine that it asks for, and what waits for one engine counts for no other."""
    jobs = JobDesk(desk)
    one, two, worker = await jobs.customer(), await jobs.customer(), jobs.worker()
    slow = await jobs.asks(one, 50, engine="slow")
    assert await worker.claim("quick", JobKind.PICTURE, 9) == []
    (quick,) = await jobs.asks(one, 1, engine="quick")
    others = await jobs.asks(two, 2, engine="quick")
    assert [(await jobs.look(id_)).position for id_ in (quick, *others)] == [1, 2, 3]
    assert [job.id for job in await worker.claim("quick", JobKind.PICTURE, 9)] == [quick, *others]
    assert (await jobs.claimed(worker, "slow")).id == slow[0]
    assert (await jobs.look(slow[1])).position == 1


async def test_an_idle_time_is_no_credit(desk: Desk) -> None:
    """An account that slept while another was drawn begins beside it, and does not catch up."""
    jobs = JobDesk(desk)
    busy, sleeper, worker = await jobs.customer(), await jobs.customer(), jobs.worker()
    await jobs.asks(sleeper, 1)
    await drawn(jobs, worker, 1)
    await jobs.asks(busy, 40)
    await drawn(jobs, worker, 20)
    await jobs.asks(sleeper, 20)
    whose = await drawn(jobs, worker, 20)
    assert 9 <= whose.count(sleeper.account) <= 11
