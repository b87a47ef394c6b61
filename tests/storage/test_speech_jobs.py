"""Jobs of speech beside those of pictures: each kind has its own queue, and its end says what was spoken."""

from __future__ import annotations

from datetime import timedelta

import pytest

from minitoolai.core.jobs import JobKind, JobState
from tests.storage.desk import Desk, new_id
from tests.storage.job_desk import ENGINE, FILE, PRICE, SOUND, SPEECH, JobDesk

PICTURE, SPOKEN = JobKind.PICTURE, JobKind.SPEECH


async def test_speech_that_is_done_is_charged_by_its_characters(desk: Desk) -> None:
    """The record has them and their price, no picture and no fee; the job is shown with its file."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    new = await jobs.ask(who, **SPEECH)
    assert await desk.money(who.account) == (1000, PRICE)
    waits = await jobs.look(new.id)
    assert (waits.kind, waits.characters, waits.file, waits.position) == (SPOKEN, 5000, None, 1)
    job = await jobs.claimed(worker, kind=SPOKEN)
    assert (job.id, job.kind, job.request) == (new.id, SPOKEN, b"canary prompt")
    assert await worker.complete(job, "f", SOUND, {})
    (record,) = await desk.sql("SELECT * FROM usage_records")
    assert (record["id"], record["cost"], record["engine"]) == (new.call_id, PRICE, "f")
    assert (record["characters"], record["character_nusd_per_1m"]) == (5000, 2000)
    assert (record["images"], record["fees"], record["audio_ms"], record["audio_minute_nusd"]) == (0, 0, 0, 0)
    done = await jobs.look(new.id)
    assert (done.state, done.cost_nusd, done.file, done.extension) == (JobState.SUCCEEDED, PRICE, SOUND.name, "mp3")
    assert await jobs.jobs.file(new.id) == SOUND
    assert await desk.money(who.account) == (1000 - PRICE, 0)
    assert await worker.known([SOUND.name]) == set(), "names without a job's number are nobody's"
    await desk.clean()


@pytest.mark.parametrize("way", ["failed", "cancelled", "cancelled while it waits", "waited"])
async def test_speech_that_came_to_nothing_costs_nothing(desk: Desk, way: str) -> None:
    """No characters, no price, nothing held."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(1000), jobs.worker()
    new = await jobs.ask(who, **SPEECH)
    if way == "failed":
        assert await worker.fail(await jobs.claimed(worker, kind=SPOKEN), "why")
    elif way == "waited":
        assert await worker.sweep(-1) == (0, 1)
    else:
        if way == "cancelled":
            await jobs.claimed(worker, kind=SPOKEN)
        assert await jobs.jobs.cancel(new.id, "why")
    (record,) = await desk.sql("SELECT cost, characters, character_nusd_per_1m, images FROM usage_records")
    assert tuple(record) == (0, 0, 0, 0)
    assert await desk.money(who.account) == (1000, 0)
    assert (await jobs.look(new.id)).file is None
    await desk.clean()


async def test_a_claim_takes_its_own_kind_only(desk: Desk) -> None:
    """Whatever waits of the other one at the same engine; positions count the own kind."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    pictures = await jobs.asks(who, 3)
    spoken = await jobs.asks(who, 2, **SPEECH)
    assert [(await jobs.look(job)).position for job in (*pictures, *spoken)] == [1, 2, 3, 1, 2]
    assert [job.id for job in await worker.claim(ENGINE, SPOKEN, 9)] == spoken
    assert await worker.claim(ENGINE, SPOKEN, 9) == []
    assert [job.id for job in await worker.claim(ENGINE, PICTURE, 9)] == pictures


async def test_each_kind_is_shared_by_itself(desk: Desk) -> None:
    """However many texts were spoken meanwhile, who asks for a first picture does not queue behind all that wait."""
    jobs = JobDesk(desk)
    large, small, talker, worker = await jobs.customer(), await jobs.customer(), await jobs.customer(), jobs.worker()
    await jobs.asks(large, 20)
    await jobs.claimed(worker)
    await jobs.asks(talker, 30, **SPEECH)
    assert len(await worker.claim(ENGINE, SPOKEN, 30)) == 30
    (late,) = await jobs.asks(small, 1)
    assert (await jobs.claimed(worker)).id == late


async def test_processes_of_the_last_release_know_pictures_only(desk: Desk) -> None:
    """What they call makes and takes pictures: while a server is replaced, both work on one database."""
    jobs = JobDesk(desk)
    who = await jobs.customer(1000)
    (spoken,) = await jobs.asks(who, 1, **SPEECH)
    call_id = new_id()
    made = await desk.sql(
        "SELECT outcome FROM job_create_v1($1, $2, $3, $4, 10, 'm', $5, '', NULL, NULL, NULL, NULL, 60, 60, 9, 9)",
        10**9 + 99, call_id, who.account, who.key, ENGINE,
    )  # fmt: skip
    assert [row["outcome"] for row in made] == [0]
    old = new_id()
    taken = await desk.sql("SELECT id, kind FROM job_claim_v1($1, $2, 9, $3)", old, ENGINE, timedelta(seconds=60))
    assert [tuple(row) for row in taken] == [(10**9 + 99, "picture")]
    ended = "SELECT job_end_v1($1, 1, false, 'succeeded', 0::smallint, 'e', NULL, '{}', $2, 9)"
    assert (await desk.sql(ended, 10**9 + 99, FILE.name))[0][0]
    (record,) = await desk.sql("SELECT images, fees, characters FROM usage_records WHERE id = $1", call_id)
    assert tuple(record) == (1, 10, 0)
    assert (await jobs.look(spoken)).state is JobState.QUEUED
    await desk.clean()
