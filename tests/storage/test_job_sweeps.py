"""What the sweep does for jobs that no worker ends: put back, given up after too many attempts or too long a wait."""

from __future__ import annotations

import asyncio
import logging

import pytest

from minitoolai.core.jobs import MAX_ATTEMPTS, JobKind, JobState
from minitoolai.core.ledger import CallOutcome
from minitoolai.storage.job_queue import LOST, WAITED
from minitoolai.storage.verify import verify_ledger
from tests.storage.desk import Desk
from tests.storage.job_desk import ENGINE, FILE, JobDesk

HOUR_S = 3600.0


async def test_a_dead_workers_job_is_put_back_and_at_last_given_up(desk: Desk) -> None:
    """Each time at once, for whoever comes, and as no failure; at last its hold is released and its owner told."""
    jobs = JobDesk(desk)
    who = await jobs.customer(1000)
    new = await jobs.ask(who)
    sweeper = jobs.worker()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        job = await jobs.claimed(jobs.worker())
        assert (job.attempt, job.failures) == (attempt, 0)
        assert await sweeper.sweep(HOUR_S) == (0, 0)
        await jobs.lapse(new.id)
        assert await sweeper.sweep(HOUR_S) == ((1, 0) if attempt < MAX_ATTEMPTS else (0, 1))
    seen = await jobs.look(new.id)
    assert (seen.state, seen.message, seen.cost_nusd) == (JobState.FAILED, LOST, 0)
    assert await desk.money(who.account) == (1000, 0)
    (record,) = await desk.sql("SELECT outcome, cost, images FROM usage_records")
    assert tuple(record) == (CallOutcome.FAILED, 0, 0)
    assert await sweeper.sweep(HOUR_S) == (0, 0)
    await desk.clean()


async def test_a_living_workers_job_is_left_alone(desk: Desk) -> None:
    """However long it takes: also when the worker speaks between the sweep's look and its deed."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    made = await jobs.asks(who, 2)
    await desk.sql("UPDATE jobs SET created_at = now() - interval '3 days'")
    first, last = await jobs.claimed(worker), await jobs.claimed(worker)
    await desk.sql("UPDATE jobs SET attempt = $1 WHERE id = $2", MAX_ATTEMPTS, last.id)
    assert await worker.sweep(1) == (0, 0)
    retry = f"SELECT job_retry_v1($1, 1, 'lapsed', {MAX_ATTEMPTS}, '0 s')"
    fail = f"SELECT job_end_v1($1, {MAX_ATTEMPTS}, true, 'failed', 1::smallint, NULL, NULL, NULL, NULL, NULL)"
    for statement, job in ((retry, first), (fail, last)):
        assert [row[0] for row in await desk.sql(statement, job.id)] == [False]
    assert [await jobs.state(job_id) for job_id in made] == [JobState.RUNNING] * 2


async def test_a_renewal_that_comes_first_keeps_the_job(desk: Desk) -> None:
    """The sweep waits for it and then sees the new lease."""
    jobs = JobDesk(desk)
    await jobs.ask(await jobs.customer())
    worker = jobs.worker()
    job = await jobs.claimed(worker)
    await jobs.lapse(job.id)
    async with desk.database.transaction() as connection:
        await connection.execute("UPDATE jobs SET lease_until = now() + interval '1 hour' WHERE id = $1", job.id)
        sweeping = asyncio.create_task(worker.sweep(HOUR_S))
        async with asyncio.timeout(20):
            while not await desk.sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.005)
    assert await sweeping == (0, 0)
    assert await worker.complete(job, "e", FILE, {})
    await desk.clean()


async def test_a_job_that_waits_too_long_is_given_up(desk: Desk) -> None:
    """Only while it waits; the younger ones go on waiting."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    old, young, running = await jobs.asks(who, 3)
    await desk.sql("UPDATE jobs SET tag = -1 WHERE id = $1", running)
    assert (await jobs.claimed(worker)).id == running
    await jobs.age(61, old, running)
    await jobs.age(59, young)
    assert await worker.sweep(60) == (0, 1)
    assert [await jobs.state(job_id) for job_id in (old, young, running)] == [
        JobState.FAILED, JobState.QUEUED, JobState.RUNNING,
    ]  # fmt: skip
    seen = await jobs.look(old)
    assert (seen.message, seen.cost_nusd) == (WAITED, 0)
    assert await desk.money(who.account) == (1000, 20)
    await desk.clean()


async def test_an_old_job_of_a_dead_worker_is_put_back_and_then_given_up(desk: Desk) -> None:
    """The wait counts from its making, attempts included: it is tried again if somebody is there at once."""
    jobs = JobDesk(desk)
    await jobs.ask(await jobs.customer())
    worker = jobs.worker()
    job = await jobs.claimed(worker)
    await jobs.age(61, job.id)
    await jobs.lapse(job.id)
    assert await worker.sweep(60) == (1, 0)
    assert await worker.sweep(60) == (0, 1)
    assert (await jobs.look(job.id)).message == WAITED
    await desk.clean()


async def test_a_claim_that_comes_first_keeps_the_job(desk: Desk) -> None:
    """What was taken while the sweep looked does not fail for having waited."""
    jobs = JobDesk(desk)
    (job_id,) = await jobs.asks(await jobs.customer(), 1)
    await jobs.claimed(jobs.worker())
    fail = "SELECT job_end_v1($1, NULL, false, 'failed', 1::smallint, NULL, NULL, NULL, NULL, NULL)"
    assert [row[0] for row in await desk.sql(fail, job_id)] == [False]
    assert await jobs.state(job_id) is JobState.RUNNING


async def test_sweepers_do_not_meet(desk: Desk) -> None:
    """Eight at once put each job back, or fail it, once in all."""
    jobs = JobDesk(desk)
    made = await jobs.asks(await jobs.customer(), 30)
    workers = [jobs.worker() for _ in range(8)]
    await workers[0].claim(ENGINE, JobKind.PICTURE, 20)
    await desk.sql("UPDATE jobs SET attempt = $1 WHERE id = ANY ($2)", MAX_ATTEMPTS, made[:5])
    await jobs.lapse(*made[:20])
    await jobs.age(61, *made[20:])
    swept = await asyncio.gather(*[worker.sweep(60) for worker in workers])
    assert [sum(counts) for counts in zip(*swept, strict=True)] == [15, 15]
    states = [await jobs.state(job_id) for job_id in made]
    assert states == [JobState.FAILED] * 5 + [JobState.QUEUED] * 15 + [JobState.FAILED] * 10
    assert len(await desk.sql("SELECT 1 FROM usage_records")) == 15
    await desk.clean()


async def test_one_broken_job_keeps_no_other_from_being_swept(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A job whose hold was taken away by hand stays as it is, is named in the log, and found by verification."""
    jobs = JobDesk(desk)
    broken, sound = await jobs.asks(await jobs.customer(), 2)
    await desk.sql("DELETE FROM holds WHERE id = (SELECT call_id FROM jobs WHERE id = $1)", broken)
    await jobs.age(61, broken, sound)
    with caplog.at_level(logging.ERROR):
        assert await jobs.worker().sweep(60) == (0, 1)
    assert f"job {broken} has no hold" in caplog.text
    assert [await jobs.state(job_id) for job_id in (broken, sound)] == [JobState.QUEUED, JobState.FAILED]
    assert any("do not agree" in problem for problem in (await verify_ledger(desk.database)).problems)
