"""Jobs in workers' hands: taken once, kept while their worker lives, ended by the attempt that holds them and no other."""

from __future__ import annotations

import asyncio

import pytest

from minitoolai.core.jobs import MAX_ATTEMPTS, MAX_FAILURES, ClaimedJob, JobKind, JobState, StoredFile
from minitoolai.core.ledger import CallOutcome
from minitoolai.storage.job_queue import PgJobQueue
from tests.storage.desk import Desk, new_id
from tests.storage.job_desk import ENGINE, FILE, PRICE, JobDesk


async def test_a_job_is_taken_once(desk: Desk) -> None:
    """By ten workers at once, each job by one of them; no more than was asked for."""
    jobs = JobDesk(desk)
    made = await jobs.asks(await jobs.customer(), 25)
    workers = [jobs.worker() for _ in range(10)]
    taken = await asyncio.gather(*[worker.claim(ENGINE, JobKind.PICTURE, 2) for worker in workers])
    assert all(len(some) == 2 for some in taken)
    taken += await asyncio.gather(*[worker.claim(ENGINE, JobKind.PICTURE, 2) for worker in workers])
    assert sorted(job.id for some in taken for job in some) == made
    assert await workers[0].claim(ENGINE, JobKind.PICTURE, 1) == []


async def test_an_engine_that_nobody_asked_for_has_nothing(desk: Desk) -> None:
    """Claiming from it takes nothing and leaves nothing."""
    worker = JobDesk(desk).worker()
    assert await worker.claim("never heard of", JobKind.PICTURE, 3) == []
    assert await desk.sql("SELECT 1 FROM job_clocks") == []


async def test_a_job_that_is_being_ended_is_passed_over(desk: Desk) -> None:
    """A claim does not wait for the cancelling of another job: the one behind it is taken."""
    jobs = JobDesk(desk)
    first, second = await jobs.asks(await jobs.customer(), 2)
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT job_end_v1($1, NULL, false, 'cancelled', 3::smallint, "
                                 "NULL, NULL, NULL, NULL, NULL)", first)  # fmt: skip
        async with asyncio.timeout(5):
            assert (await jobs.claimed(jobs.worker())).id == second
    assert await jobs.state(first) is JobState.CANCELLED


async def stale_writes(worker: PgJobQueue, job: ClaimedJob) -> list[bool]:
    """Try every write of an attempt; return which of them counted."""
    lost = await worker.renew({(job.id, job.attempt): 0.9})
    return [
        not lost,
        await worker.complete(job, "e", StoredFile("pictures/stale.png", 1), {"seed": 666}),
        await worker.retry(job, 0),
        await worker.fail(job, "stale"),
    ]


async def test_an_attempt_that_was_given_up_writes_nothing(desk: Desk) -> None:
    """While the job waits again, runs in the next attempt, by another worker or the same, and when that has ended."""
    jobs = JobDesk(desk)
    who = await jobs.customer(1000)
    new = await jobs.ask(who)
    old, next_ = jobs.worker(), jobs.worker()
    first = await jobs.claimed(old)
    assert await old.retry(first, 0)
    assert await stale_writes(old, first) == [False] * 4
    second = await jobs.claimed(next_)
    assert (second.attempt, (await jobs.look(new.id)).progress) == (2, 0)
    assert await stale_writes(old, first) == [False] * 4
    assert await next_.retry(second, 0)
    third = await jobs.claimed(old)
    for worker, stale in ((old, first), (next_, second)):
        assert await stale_writes(worker, stale) == [False] * 4
    assert await old.renew({(new.id, 3): 0.25}) == set()
    assert (await jobs.look(new.id)).progress == 0.25
    assert await old.complete(third, "e", FILE, {"seed": 7})
    for worker, stale in ((old, first), (next_, second), (old, third)):
        assert await stale_writes(worker, stale) == [False] * 4
    seen = await jobs.look(new.id)
    assert (seen.state, seen.result, seen.progress) == (JobState.SUCCEEDED, {"seed": 7}, 1)
    assert await jobs.jobs.file(new.id) == FILE
    assert await jobs.charges() == [(new.call_id, PRICE)]
    await desk.clean()


async def test_a_lease_is_renewed_by_its_own_worker_only(desk: Desk) -> None:
    """Another one is told that the job is not its own; what was renewed has the whole lease again."""
    jobs = JobDesk(desk)
    (job_id,) = await jobs.asks(await jobs.customer(), 1)
    mine, other = jobs.worker(lease_s=3600), jobs.worker()
    job = await jobs.claimed(mine)
    await desk.sql("UPDATE jobs SET lease_until = now() + interval '1 s'")
    assert await other.renew({(job.id, 1): 0.5}) == {job_id}
    row = await jobs.row(job_id)
    assert row["progress"] == 0
    assert await mine.renew({(job.id, 1): 0.5, (999, 1): 0.1, (1000, 2): 0.2}) == {999, 1000}
    after = await jobs.row(job_id)
    assert (after["lease_until"] - row["lease_until"]).total_seconds() > 3000
    assert after["progress"] == 0.5
    assert await mine.renew({}) == set()


async def test_an_older_attempt_of_a_worker_is_not_told_of(desk: Desk) -> None:
    """A worker that takes a job which it still draws keeps the job: the older attempt's writes count for nothing."""
    jobs = JobDesk(desk)
    await jobs.ask(await jobs.customer())
    worker = jobs.worker()
    first = await jobs.claimed(worker)
    await jobs.lapse(first.id)
    assert await worker.sweep(3600) == (1, 0)
    second = await jobs.claimed(worker)
    assert await worker.renew({(first.id, 1): 0.9, (second.id, 2): 0.1}) == set()
    assert (await jobs.look(first.id)).progress == pytest.approx(0.1)
    assert not await worker.complete(first, "e", FILE, {})
    assert await worker.complete(second, "e", FILE, {})
    await desk.clean()


async def test_a_lapsed_attempt_may_still_end_until_it_is_taken_over(desk: Desk) -> None:
    """A worker that was away comes back before the sweep: its picture counts, exactly once."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    await jobs.asks(who, 3)
    done, renewed, failed = [await jobs.claimed(worker) for _ in range(3)]
    await jobs.lapse(done.id, renewed.id, failed.id)
    assert await worker.complete(done, "e", FILE, {})
    assert await worker.renew({(renewed.id, 1): 0.5}) == set()
    assert await worker.fail(failed, "why")
    assert await worker.sweep(3600) == (0, 0)
    assert await worker.complete(renewed, "e", FILE, {})
    assert len(await jobs.charges()) == 2
    assert await desk.money(who.account) == (1000 - 2 * PRICE, 0)
    await desk.clean()


async def test_a_failed_job_costs_nothing(desk: Desk) -> None:
    """Its owner is told why, its hold is released, and its record is of a failed call."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    new = await jobs.ask(who)
    assert await worker.fail(await jobs.claimed(worker), "The engine cannot draw that.")
    seen = await jobs.look(new.id)
    assert (seen.state, seen.message, seen.cost_nusd, seen.result) == (
        JobState.FAILED, "The engine cannot draw that.", 0, {},
    )  # fmt: skip
    assert seen.ended_at is not None
    assert await jobs.jobs.file(new.id) is None
    assert await desk.money(who.account) == (1000, 0)
    (record,) = await desk.sql("SELECT outcome, cost, images, engine FROM usage_records")
    assert tuple(record) == (CallOutcome.FAILED, 0, 0, ENGINE)
    await desk.clean()


async def test_a_job_waits_before_it_is_tried_again(desk: Desk) -> None:
    """Nobody is given it before; each attempt begins without progress; the first start stays."""
    jobs = JobDesk(desk)
    new = await jobs.ask(await jobs.customer())
    worker = jobs.worker()
    first = await jobs.claimed(worker)
    started = (await jobs.row(new.id))["started_at"]
    await worker.renew({(first.id, 1): 0.5})
    assert await worker.retry(first, 3600)
    seen = await jobs.look(new.id)
    assert (seen.state, seen.progress, seen.position) == (JobState.QUEUED, 0, 1)
    row = await jobs.row(new.id)
    assert (row["worker_id"], row["lease_until"]) == (None, None)
    assert await worker.claim(ENGINE, JobKind.PICTURE, 5) == []
    await desk.sql("UPDATE jobs SET not_before = now() - interval '1 ms'")
    second = await jobs.claimed(worker)
    row = await jobs.row(new.id)
    assert (second.attempt, row["started_at"], row["not_before"]) == (2, started, None)


async def test_failures_are_counted(desk: Desk) -> None:
    """After the last one a job is not put back: its worker fails it."""
    jobs = JobDesk(desk)
    await jobs.ask(await jobs.customer())
    worker = jobs.worker()
    for failures in range(MAX_FAILURES):
        job = await jobs.claimed(worker)
        assert (job.attempt, job.failures) == (failures + 1, failures)
        assert await worker.retry(job, 0) is (failures + 1 < MAX_FAILURES)
    assert await jobs.state(job.id) is JobState.RUNNING
    assert await worker.fail(job, "three times")
    await desk.clean()


async def test_a_job_that_is_given_back_has_not_failed(desk: Desk) -> None:
    """However often: workers that stop cost it nothing, and its failures stay what they were."""
    jobs = JobDesk(desk)
    await jobs.ask(await jobs.customer())
    worker = jobs.worker()
    assert await worker.retry(await jobs.claimed(worker), 0)
    for attempt in range(2, MAX_ATTEMPTS + 3):
        job = await jobs.claimed(worker)
        assert (job.attempt, job.failures) == (attempt, 1)
        assert await worker.put_back(job)
        assert not await worker.put_back(job)
    await desk.clean()


async def test_depths_are_counted_by_engine_and_state(desk: Desk) -> None:
    """What has ended is not among them."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    assert await worker.depths() == {}
    made = await jobs.asks(who, 4)
    await jobs.asks(who, 1, engine="other")
    await worker.claim(ENGINE, JobKind.PICTURE, 2)
    assert await jobs.jobs.cancel(made[3], "why")
    assert await worker.depths() == {(ENGINE, "queued"): 1, (ENGINE, "running"): 2, ("other", "queued"): 1}


async def test_jobs_are_kept_so_long_and_then_forgotten(desk: Desk) -> None:
    """Those that ended longest ago come first, with their pictures, so many at once; what has not ended is never erased."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    made = await jobs.asks(who, 5)
    done = [await jobs.claimed(worker) for _ in range(3)]
    for number, job in enumerate(done):
        assert await worker.complete(job, "e", StoredFile(f"pictures/{number}.png", 9), {})
    assert await jobs.jobs.cancel(made[3], "why")
    for job_id, age in zip(made, (100, 300, 50, 200, 400), strict=True):
        await jobs.age(age, job_id)
    assert await worker.outlived(99, 10) == [
        (made[1], StoredFile("pictures/1.png", 9)), (made[3], None), (made[0], StoredFile("pictures/0.png", 9)),
    ]  # fmt: skip
    assert [job_id for job_id, _ in await worker.outlived(99, 2)] == [made[1], made[3]]
    await worker.forget([made[1], made[3], made[4]])
    assert [await jobs.jobs.find(job_id) is None for job_id in made] == [False, True, False, True, False]
    assert await jobs.state(made[4]) is JobState.QUEUED
    await worker.forget([])
    assert len(await jobs.charges()) == 3
    await desk.clean()


async def test_two_workers_forget_without_waiting(desk: Desk) -> None:
    """What another one is erasing is left to it."""
    jobs = JobDesk(desk)
    made = await jobs.asks(await jobs.customer(), 2)
    for job_id in made:
        assert await jobs.jobs.cancel(job_id, "why")
    worker = jobs.worker()
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE", made[0])
        async with asyncio.timeout(5):
            await worker.forget(made)
    assert [row["id"] for row in await desk.sql("SELECT id FROM jobs")] == made[:1]


async def test_workers_are_told_apart(desk: Desk) -> None:
    """A worker that starts again with a new id does not get what its predecessor held until that lapses."""
    jobs = JobDesk(desk)
    await jobs.ask(await jobs.customer())
    before, after = jobs.worker(old := new_id()), jobs.worker()
    job = await jobs.claimed(before)
    assert (await jobs.row(job.id))["worker_id"] == old
    assert await after.claim(ENGINE, JobKind.PICTURE, 1) == []
    assert await after.sweep(3600) == (0, 0)
    await jobs.lapse(job.id)
    assert await after.sweep(3600) == (1, 0)
    assert (await jobs.claimed(after)).attempt == 2


async def test_it_knows_which_files_are_pictures_of_jobs(desk: Desk) -> None:
    """By their names whole: not those of other attempts, of no job, or of another form."""
    jobs = JobDesk(desk)
    await jobs.ask(await jobs.customer())
    worker = jobs.worker()
    job = await jobs.claimed(worker)
    name = f"pictures/2026-11-25/{job.id}-1.png"
    assert await worker.complete(job, ENGINE, StoredFile(name, 9), {"seed": 7})
    others = [name.replace("-1.png", "-2.png"), "pictures/2026-11-25/1-1.png", "odd", f"x/{2**80}-1.png"]
    assert await worker.known([name, *others]) == {name}
