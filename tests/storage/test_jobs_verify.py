"""Verification knows jobs: each has its hold until it ends, and then the charge that its end says."""

from __future__ import annotations

import pytest

from minitoolai.core.jobs import JobKind
from minitoolai.storage.verify import verify_ledger
from tests.storage.desk import Desk
from tests.storage.job_desk import FILE, SOUND, SPEECH, JobDesk

AGREE = "do not agree"
ENDED = "its file is not there"
#: What is planted, and a word of the problem that is told.
CORRUPTIONS = {
    "a job's hold without its job": ("DELETE FROM jobs WHERE state = 'queued'", AGREE),
    "a job that waits without its hold": (
        "DELETE FROM holds WHERE id IN (SELECT call_id FROM jobs WHERE state = 'queued')", AGREE,
    ),
    "a job that runs without its hold": (
        "DELETE FROM holds WHERE id IN (SELECT call_id FROM jobs WHERE state = 'running')", AGREE,
    ),
    "a hold of another amount": ("UPDATE jobs SET price = price + 1 WHERE state = 'queued'", AGREE),
    "a job that ended and left its hold": ("UPDATE jobs SET state = 'failed' WHERE state = 'queued'", AGREE),
    "a picture that was not charged": ("UPDATE usage_records SET cost = 0 WHERE images = 1", ENDED),
    "a picture without a record": ("DELETE FROM usage_records WHERE images = 1", ENDED),
    "a picture whose record counts none": ("UPDATE usage_records SET images = 0", ENDED),
    "a picture that cost nothing": ("UPDATE jobs SET cost = 0", ENDED),
    "a picture that is nowhere": ("UPDATE jobs SET file = NULL", ENDED),
    "speech whose record counts a picture": ("UPDATE usage_records SET images = 1 WHERE characters > 0", ENDED),
    "speech whose record counts other characters": (
        "UPDATE usage_records SET characters = 1 WHERE characters > 0", ENDED,
    ),
    "a picture whose record counts characters": ("UPDATE usage_records SET characters = 1 WHERE images = 1", ENDED),
    "a failed job that was spoken": (
        "UPDATE usage_records SET characters = 5000 WHERE id = (SELECT call_id FROM jobs WHERE state = 'failed'"
        " AND kind = 'speech')", ENDED,
    ),
    "a failed job that was charged": (
        "UPDATE jobs SET cost = 1 WHERE state = 'failed'; UPDATE usage_records SET cost = 1 WHERE images = 0", ENDED,
    ),
    "a failed job that counts a picture": ("UPDATE usage_records SET images = 1", ENDED),
    "a job that succeeded by hand": ("UPDATE jobs SET state = 'succeeded', cost = price WHERE state = 'failed'", ENDED),
}  # fmt: skip


async def busy(jobs: JobDesk) -> None:
    """Of each kind one job that is done and one that failed; one that waits, one that runs, one that was cancelled."""
    who, worker = await jobs.customer(), jobs.worker()
    made = await jobs.asks(who, 4)
    assert await worker.complete(await jobs.claimed(worker), "e", FILE, {"seed": 7})
    assert await worker.fail(await jobs.claimed(worker), "why")
    for _ in range(2):
        await jobs.ask(who, **SPEECH)
    assert await worker.complete(await jobs.claimed(worker, kind=JobKind.SPEECH), "e", SOUND, {})
    assert await worker.fail(await jobs.claimed(worker, kind=JobKind.SPEECH), "why")
    await jobs.claimed(worker)
    assert await jobs.jobs.cancel(made[3], "why")
    await jobs.asks(who, 1)


async def test_sound_jobs_are_no_problem(desk: Desk) -> None:
    """In every state, and when those that ended are forgotten."""
    jobs = JobDesk(desk)
    await busy(jobs)
    report = await verify_ledger(desk.database)
    assert report.problems == ()
    assert report.holds == 2
    worker = jobs.worker()
    await worker.forget([job_id for job_id, _ in await worker.outlived(-1, 10)])
    assert len(await desk.sql("SELECT 1 FROM jobs")) == 2
    await desk.clean()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
async def test_what_is_planted_is_found(desk: Desk, corruption: str) -> None:
    """Said in a sentence."""
    await busy(JobDesk(desk))
    statements, word = CORRUPTIONS[corruption]
    await desk.script(statements)
    report = await verify_ledger(desk.database)
    assert any(word in problem for problem in report.problems), report.problems
