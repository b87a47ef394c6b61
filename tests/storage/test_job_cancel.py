"""Jobs that nobody wants any more: their hold is released at once, and whoever draws them is told."""

from __future__ import annotations

from minitoolai.core.jobs import JobState
from minitoolai.core.ledger import CallOutcome
from tests.storage.desk import Desk
from tests.storage.job_desk import FILE, JobDesk


async def test_a_job_is_cancelled_while_it_waits(desk: Desk) -> None:
    """Its hold is released at once, nobody draws it, and a second cancelling does nothing."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    new = await jobs.ask(who)
    assert await jobs.jobs.cancel(new.id, "its owner said so")
    assert not await jobs.jobs.cancel(new.id, "again")
    seen = await jobs.look(new.id)
    assert (seen.state, seen.message, seen.cost_nusd) == (JobState.CANCELLED, "its owner said so", 0)
    assert await worker.claim(new.engine, new.kind, 9) == []
    assert await desk.money(who.account) == (1000, 0)
    (record,) = await desk.sql("SELECT outcome, cost, images FROM usage_records")
    assert tuple(record) == (CallOutcome.ABANDONED, 0, 0)
    await desk.clean()


async def test_a_job_is_cancelled_while_it_runs(desk: Desk) -> None:
    """Its worker is told with its next word, and none of its writes counts any more."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    await jobs.ask(who)
    job = await jobs.claimed(worker)
    assert await worker.renew({(job.id, 1): 0.5}) == set()
    assert await jobs.jobs.cancel(job.id, "why")
    assert await worker.renew({(job.id, 1): 0.6}) == {job.id}
    assert not await worker.complete(job, "e", FILE, {})
    assert not await worker.retry(job, 0)
    assert not await worker.fail(job, "late")
    seen = await jobs.look(job.id)
    assert (seen.state, seen.message, seen.progress) == (JobState.CANCELLED, "why", 0.5)
    assert await jobs.charges() == []
    assert await desk.money(who.account) == (1000, 0)
    await desk.clean()


async def test_what_has_ended_is_not_cancelled(desk: Desk) -> None:
    """A picture that is there stays charged; a job that is not there is no job."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    await jobs.asks(who, 2)
    done, failed = await jobs.claimed(worker), await jobs.claimed(worker)
    assert await worker.complete(done, "e", FILE, {})
    assert await worker.fail(failed, "why")
    for job_id in (done.id, failed.id, 12345):
        assert not await jobs.jobs.cancel(job_id, "late")
    assert [await jobs.state(job.id) for job in (done, failed)] == [JobState.SUCCEEDED, JobState.FAILED]
    assert await desk.money(who.account) == (990, 0)
    await desk.clean()
