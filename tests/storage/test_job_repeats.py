"""Jobs whose callers may repeat the call: one job, one reply, given again at once; free again when it did not succeed."""

from __future__ import annotations

import asyncio

import pytest

from minitoolai.core.jobs import MAX_ATTEMPTS
from minitoolai.core.ledger import CallOutcome, HoldOutcome, HoldRequest, Repeatable, Settlement
from minitoolai.storage.replays import PgReplays
from tests.storage.desk import SEAL, Desk, new_id, settle_all
from tests.storage.job_desk import FILE, PRICE, JobDesk, granted

SAME, OTHER = Repeatable("k", b"body"), Repeatable("k", b"other body")
REPLY = b'{"jobid": "canary"}'


async def test_a_repeated_call_is_given_its_job_again(desk: Desk) -> None:
    """At once, while the job waits, runs and when it is done; with another body it is refused; one job is charged."""
    jobs, replays = JobDesk(desk), PgReplays(desk.database, SEAL)
    who, worker = await jobs.customer(1000), jobs.worker()
    new = await jobs.ask(who, repeatable=SAME, reply=REPLY)
    job = None
    for stage in ("waits", "runs", "is done"):
        if stage == "runs":
            job = await jobs.claimed(worker)
        elif job is not None:
            assert await worker.complete(job, "e", FILE, {})
        again = await jobs.jobs.create(jobs.new(who, repeatable=SAME, reply=b"another"))
        assert (again.answer.outcome, again.answer.earlier) == (HoldOutcome.REPLAY, new.call_id), stage
        assert again.answer.granted_nusd == 0
        refused = await jobs.jobs.create(jobs.new(who, repeatable=OTHER, reply=b"another"))
        assert refused.answer.outcome is HoldOutcome.OTHER_BODY, stage
        assert await replays.find(new.call_id) == REPLY
        assert await replays.answered(who.account, SAME) == new.call_id
    assert len(await desk.sql("SELECT 1 FROM jobs")) == 1
    assert await jobs.charges() == [(new.call_id, PRICE)]
    (row,) = await desk.sql("SELECT reply FROM replays")
    assert b"canary" not in row["reply"]
    await desk.clean()


async def test_of_many_at_once_one_job_is_made(desk: Desk) -> None:
    """All the others are given it."""
    jobs = JobDesk(desk)
    who, other = await jobs.customer(), await jobs.customer()
    news = [jobs.new(who, repeatable=SAME, reply=REPLY) for _ in range(30)]
    made = await asyncio.gather(*[jobs.jobs.create(new) for new in news])
    winners = [new for new, created in zip(news, made, strict=True) if granted(created)]
    assert len(winners) == 1
    earlier = {created.answer.earlier for created in made if not granted(created)}
    assert earlier == {winners[0].call_id}
    assert granted(await jobs.jobs.create(jobs.new(other, repeatable=SAME, reply=REPLY)))
    await desk.clean()


@pytest.mark.parametrize("end", ["failed", "cancelled", "waited too long", "lost"])
async def test_a_job_that_did_not_succeed_frees_its_key(desk: Desk, end: str) -> None:
    """For any body; the next job is kept under it, and the first one's late end does not touch it."""
    jobs, replays = JobDesk(desk), PgReplays(desk.database, SEAL)
    who, worker = await jobs.customer(), jobs.worker()
    first = await jobs.ask(who, repeatable=SAME, reply=b"first")
    if end == "cancelled":
        assert await jobs.jobs.cancel(first.id, "why")
    elif end == "waited too long":
        assert await worker.sweep(-1) == (0, 1)
    else:
        job = await jobs.claimed(worker)
        if end == "failed":
            assert await worker.fail(job, "why")
        else:
            await desk.sql("UPDATE jobs SET attempt = $1", MAX_ATTEMPTS)
            await jobs.lapse(job.id)
            assert await worker.sweep(3600) == (0, 1)
    assert await desk.sql("SELECT 1 FROM replays") == []
    second = await jobs.ask(who, repeatable=OTHER, reply=b"second")
    again = await jobs.jobs.create(jobs.new(who, repeatable=OTHER, reply=b"third"))
    assert (again.answer.outcome, again.answer.earlier) == (HoldOutcome.REPLAY, second.call_id)
    assert await replays.find(second.call_id) == b"second"
    await desk.clean()


async def test_after_a_day_the_key_is_anothers(desk: Desk) -> None:
    """Though the job still waits; its end leaves the new claim alone."""
    jobs, replays = JobDesk(desk), PgReplays(desk.database, SEAL)
    who = await jobs.customer()
    first = await jobs.ask(who, repeatable=SAME, reply=b"first")
    await desk.sql("UPDATE replays SET created_at = created_at - interval '24 hours'")
    second = await jobs.ask(who, repeatable=OTHER, reply=b"second")
    assert await jobs.jobs.cancel(first.id, "why")
    assert await replays.find(second.call_id) == b"second"
    await desk.clean()


async def test_chats_and_jobs_share_an_accounts_keys(desk: Desk) -> None:
    """While a chat runs, its key makes no job; and a key of a job begins no chat."""
    jobs, ledger = JobDesk(desk), await desk.ledger()
    who = await jobs.customer()
    chat = HoldRequest(new_id(), who.account, who.key, 10, 10, "m", "fake", 0, 0, SAME)
    assert (await ledger.hold(chat)).outcome is HoldOutcome.GRANTED
    assert (await jobs.jobs.create(jobs.new(who, repeatable=SAME, reply=b"r"))).answer.outcome is HoldOutcome.IN_PROGRESS
    assert (await jobs.jobs.create(jobs.new(who, repeatable=OTHER, reply=b"r"))).answer.outcome is HoldOutcome.OTHER_BODY
    await settle_all(ledger, [Settlement(chat.id, 0, CallOutcome.FAILED)])
    new = await jobs.ask(who, repeatable=SAME, reply=b"r")
    answer = await ledger.hold(HoldRequest(new_id(), who.account, who.key, 10, 10, "m", "fake", 0, 0, SAME))
    assert (answer.outcome, answer.earlier) == (HoldOutcome.REPLAY, new.call_id)
    await desk.clean()


async def test_a_full_queue_gives_an_earlier_job_again(desk: Desk) -> None:
    """What was made is told, however many wait by then."""
    jobs = JobDesk(desk, per_account=1)
    who = await jobs.customer()
    new = await jobs.ask(who, repeatable=SAME, reply=REPLY)
    again = await jobs.jobs.create(jobs.new(who, repeatable=SAME, reply=REPLY))
    assert (again.answer.outcome, again.answer.earlier, again.full) == (HoldOutcome.REPLAY, new.call_id, False)
    await desk.clean()
