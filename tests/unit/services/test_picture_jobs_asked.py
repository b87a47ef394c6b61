"""Jobs of pictures: asked about by signature, waited for, cancelled."""

from __future__ import annotations

import asyncio

import pytest

from minitoolai.core.access import Principal
from minitoolai.core.jobs import JobKind, JobState
from minitoolai.core.picture_errors import (
    JobNotFound,
)
from minitoolai.core.signatures import job_signature
from minitoolai.services import jobs as module
from tests.support.clients import until
from tests.support.fakes import ACCOUNT_ID, KEY_ID, principal
from tests.unit.services.picture_room import KEY, PictureRoom


async def test_a_signature_opens_one_job() -> None:
    """Nothing is looked up for a wrong one; a job that is gone is not there."""
    room = PictureRoom()
    made = await room.create()
    right = job_signature(KEY, made.job_id)
    assert (await room.desk.ask(JobKind.PICTURE, made.job_id, right)).id == made.job_id
    room.jobs.looked.clear()
    for job_id, signature in ((made.job_id, right[:-1] + "!"), (made.job_id, ""), (made.job_id + 1, right), (-1, "ż")):
        with pytest.raises(JobNotFound):
            await room.desk.ask(JobKind.PICTURE, job_id, signature, 60)
    assert (room.jobs.looked, room.news.asked) == ([], [])
    with pytest.raises(JobNotFound):
        await room.desk.ask(JobKind.PICTURE, 5, job_signature(KEY, 5))


async def test_an_ended_job_is_not_waited_for() -> None:
    """And one that has not ended is looked at once it may have."""
    room = PictureRoom()
    made = await room.create()
    signature = job_signature(KEY, made.job_id)
    asking = asyncio.create_task(room.desk.ask(JobKind.PICTURE, made.job_id, signature, 30))
    await until(lambda: room.news.asked, "it waits")
    assert not asking.done()
    room.jobs.end(made.job_id, JobState.SUCCEEDED)
    room.news.tell(made.job_id)
    assert (await asking).state is JobState.SUCCEEDED
    assert (await room.desk.ask(JobKind.PICTURE, made.job_id, signature, 30)).state is JobState.SUCCEEDED
    assert room.news.asked[0] == (made.job_id, 30)


async def test_an_end_between_looking_and_listening_is_heard() -> None:
    """It listens first."""
    room = PictureRoom()
    made = await room.create()
    find = room.jobs.find

    async def slow(job_id: int) -> object:
        found = await find(job_id)
        if found is not None and found.state is JobState.QUEUED:
            room.jobs.end(job_id, JobState.FAILED, message="no")
            room.news.tell(job_id)
        return found

    room.jobs.find = slow  # type: ignore[assignment, method-assign]
    async with asyncio.timeout(5):
        job = await room.desk.ask(JobKind.PICTURE, made.job_id, job_signature(KEY, made.job_id), 30)
    assert job.state is JobState.FAILED


async def test_jobs_of_an_account() -> None:
    """Another account's are not there."""
    room = PictureRoom()
    made = await room.create()
    assert (await room.desk.owned(principal(), JobKind.PICTURE, made.job_id)).id == made.job_id
    other = Principal(ACCOUNT_ID + 1, KEY_ID, None, None, revoked=False, suspended=False)
    for who, job_id in ((other, made.job_id), (principal(), 5)):
        with pytest.raises(JobNotFound):
            await room.desk.owned(who, JobKind.PICTURE, job_id)


async def test_cancelling() -> None:
    """What has ended stays as it ended."""
    room = PictureRoom()
    made, done = await room.create(), await room.create()
    room.jobs.end(done.job_id, JobState.SUCCEEDED)
    job = await room.desk.cancel(await room.desk.look(made.job_id))
    assert (job.state, job.message) == (JobState.CANCELLED, module.CANCELLED)
    assert (await room.desk.cancel(await room.desk.look(done.job_id))).state is JobState.SUCCEEDED
    assert room.jobs.cancelled == [made.job_id]
