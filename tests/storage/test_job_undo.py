"""Jobs of callers who left: undone, unless the call was repeated and given its job again; of the two the first counts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.jobs import JobKind, JobState, QueueLimits
from minitoolai.core.ledger import Repeatable
from minitoolai.core.pictures import PictureRequest
from minitoolai.services import jobs as module
from minitoolai.services.picture_call import PictureCall
from minitoolai.services.picture_jobs import PictureJobs
from minitoolai.storage.database import Database
from minitoolai.storage.job_news import PgJobNews
from minitoolai.storage.jobs import PgJobs
from minitoolai.storage.replays import PgReplays
from tests.storage.desk import SEAL, Desk, new_id
from tests.storage.job_desk import ENGINE, FILE, PRICE, Customer, JobDesk
from tests.support.clients import until

SAME = Repeatable("k", b"body")
REPLY = b"reply"
CALL = PictureCall("m", PictureRequest("a red circle", "", "Euler", 4, 2.0, 512, 512, 7), repeatable=SAME)


@dataclass(frozen=True)
class Gateway:
    """A gateway's use case of pictures, and what it stands on."""

    pictures: PictureJobs
    stored: PgJobs
    database: Database


@asynccontextmanager
async def gateway(desk: Desk) -> AsyncIterator[Gateway]:
    """A gateway with connections of its own."""
    database = Database(desk.url)
    stored = PgJobs(database, seal=SEAL, replays=SEAL, limits=QueueLimits(9, 9))
    catalog = Catalog([PictureModel("m", PRICE, engine=ENGINE)])
    replays = PgReplays(database, SEAL)
    chance = random.Random(1)
    counter = module.JobDesk(stored, PgJobNews(database), replays, signature_key=bytes(32), chance=chance)
    pictures = PictureJobs(catalog, counter, chance=chance)
    try:
        yield Gateway(pictures, stored, database)
    finally:
        await pictures.desk.close(20)
        await database.close()


def principal(who: Customer) -> Principal:
    """Return a customer as gateways know it."""
    return Principal(who.account, who.key, None, None, revoked=False, suspended=False)


async def somebody_waits(desk: Desk, number: int = 1) -> None:
    """Return once so many statements wait for another's lock."""
    async with asyncio.timeout(20):
        while len(await desk.sql("SELECT 1 FROM pg_locks WHERE NOT granted")) < number:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("running", [False, True])
async def test_what_nobody_waits_for_is_undone(desk: Desk, *, running: bool) -> None:
    """Its hold is released and its key is free, also where it is drawn already; a second time nothing happens."""
    jobs, replays = JobDesk(desk), PgReplays(desk.database, SEAL)
    who = await jobs.customer(1000)
    plain, kept = await jobs.ask(who), await jobs.ask(who, repeatable=SAME, reply=REPLY)
    if running:
        await jobs.worker().claim(ENGINE, JobKind.PICTURE, 2)
    for new in (plain, kept):
        assert await jobs.jobs.undo(new.id, new.call_id, "why") is True
        assert await jobs.jobs.undo(new.id, new.call_id, "why") is False
        seen = await jobs.look(new.id)
        assert (seen.state, seen.message, seen.cost_nusd) == (JobState.CANCELLED, "why", 0)
    assert await replays.find(kept.call_id) is None
    assert await desk.money(who.account) == (1000, 0)
    await jobs.ask(who, repeatable=SAME, reply=REPLY)
    await desk.clean()


async def test_what_is_not_undone(desk: Desk) -> None:
    """Another call's job, one that is not there, and one whose picture is: that can be given again."""
    jobs, replays, worker = JobDesk(desk), PgReplays(desk.database, SEAL), JobDesk(desk).worker()
    who = await jobs.customer(1000)
    new = await jobs.ask(who, repeatable=SAME, reply=REPLY)
    assert await jobs.jobs.undo(new.id, new_id(), "why") is None
    assert await jobs.jobs.undo(new.id + 1, new.call_id, "why") is None
    assert await jobs.state(new.id) is JobState.QUEUED
    assert await worker.complete(await jobs.claimed(worker), "e", FILE, {})
    assert await jobs.jobs.undo(new.id, new.call_id, "why") is False
    assert await replays.find(new.call_id) == REPLY
    await desk.clean()


async def test_a_job_that_was_given_again_is_kept(desk: Desk) -> None:
    """Its owner may still cancel it; the next job under the same key, a day later, is undone like any other."""
    jobs, replays = JobDesk(desk), PgReplays(desk.database, SEAL)
    who = await jobs.customer()
    new = await jobs.ask(who, repeatable=SAME, reply=REPLY)
    assert await replays.find(new.call_id) == REPLY
    assert await jobs.jobs.undo(new.id, new.call_id, "why") is False
    assert await jobs.state(new.id) is JobState.QUEUED
    await desk.sql("UPDATE replays SET created_at = created_at - interval '24 hours'")
    later = await jobs.ask(who, repeatable=SAME, reply=REPLY)
    assert await jobs.jobs.undo(later.id, later.call_id, "why") is True
    assert await jobs.jobs.cancel(new.id, "why")
    await desk.clean()


async def test_who_is_first_counts(desk: Desk) -> None:
    """The other waits, and sees what the first has done."""
    jobs, replays = JobDesk(desk), PgReplays(desk.database, SEAL)
    who = await jobs.customer()
    given, undone = [await jobs.ask(who, repeatable=Repeatable(key, b""), reply=REPLY) for key in "ab"]
    async with desk.database.transaction() as connection:
        await connection.execute("UPDATE replays SET repeated = true WHERE call_id = $1", given.call_id)
        undoing = asyncio.create_task(jobs.jobs.undo(given.id, given.call_id, "why"))
        await somebody_waits(desk)
    assert await undoing is False
    assert await replays.find(given.call_id) == REPLY
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT job_undo_v1($1, $2, 1::smallint, 'why')", undone.id, undone.call_id)
        giving = asyncio.create_task(replays.find(undone.call_id))
        await somebody_waits(desk)
    assert await giving is None
    assert [await jobs.state(new.id) for new in (given, undone)] == [JobState.QUEUED, JobState.CANCELLED]
    await desk.clean()


async def test_a_key_that_is_taken_anew_meanwhile(desk: Desk) -> None:
    """After a day, while the job is undone: both wait for the account, and neither for the other."""
    jobs = JobDesk(desk)
    who = await jobs.customer()
    first = await jobs.ask(who, repeatable=SAME, reply=REPLY)
    await desk.sql("UPDATE replays SET created_at = created_at - interval '24 hours'")
    async with desk.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM accounts FOR UPDATE")
        asking = asyncio.create_task(jobs.ask(who, repeatable=SAME, reply=REPLY))
        await somebody_waits(desk)
        undoing = asyncio.create_task(jobs.jobs.undo(first.id, first.call_id, "why"))
        await somebody_waits(desk, 2)
    assert await undoing is True
    assert await jobs.state((await asking).id) is JobState.QUEUED
    await desk.clean()


async def test_many_at_once(desk: Desk, seed: int) -> None:
    """Each job is either given again or undone, and nobody waits in a circle, while the same accounts ask for more."""
    jobs, replays, chance = JobDesk(desk), PgReplays(desk.database, SEAL), random.Random(seed)
    customers = [await jobs.customer() for _ in range(2)]
    made = [
        await jobs.ask(customers[number % 2], repeatable=Repeatable(str(number), b""), reply=REPLY) for number in range(40)
    ]

    async def give(number: int) -> bool:
        await asyncio.sleep(chance.random() / 10)
        return await replays.find(made[number].call_id) is not None

    async def undo(number: int) -> bool:
        await asyncio.sleep(chance.random() / 10)
        return await jobs.jobs.undo(made[number].id, made[number].call_id, "why") is True

    async def more(number: int) -> None:
        await jobs.ask(customers[number % 2], repeatable=Repeatable(f"more {number}", b""), reply=REPLY)

    numbers = range(len(made))
    answers = await asyncio.gather(*map(give, numbers), *map(undo, numbers), *map(more, numbers))
    given, undone = answers[: len(made)], answers[len(made) : 2 * len(made)]
    assert [not each for each in given] == list(undone)
    states = [await jobs.state(new.id) for new in made]
    assert states == [JobState.CANCELLED if each else JobState.QUEUED for each in undone]
    await desk.clean()


async def test_whoever_repeats_a_call_keeps_what_it_is_told(desk: Desk) -> None:
    """Though the gateway that lost the first answer undoes the job afterwards."""
    jobs = JobDesk(desk)
    who = principal(await jobs.customer())
    async with gateway(desk) as first, gateway(desk) as second:
        call_id = new_id()
        made = await first.pictures.create(who, call_id, CALL)
        again = await second.pictures.create(who, new_id(), CALL)
        assert (again.job_id, again.replayed) == (made.job_id, True)
        await first.pictures.desk.undo(made.job_id, call_id)
    assert await jobs.state(made.job_id) is JobState.QUEUED
    await desk.clean()


async def test_a_job_that_is_made_behind_its_gateways_back_is_undone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection broke while the database waited for the account, and the caller was told that nothing was charged."""
    monkeypatch.setattr(module, "UNDO_PAUSE_S", 0.05)
    jobs = JobDesk(desk)
    who = await jobs.customer(1000)
    async with gateway(desk) as own:
        undo, looks = own.stored.undo, []

        async def noted(job_id: int, call_id: UUID, why: str) -> bool | None:
            looks.append(await undo(job_id, call_id, why))
            return looks[-1]

        monkeypatch.setattr(own.stored, "undo", noted)
        async with desk.database.transaction() as connection:
            await connection.execute("SELECT 1 FROM accounts FOR UPDATE")
            call = replace(CALL, repeatable=None)
            making = asyncio.create_task(own.pictures.create(principal(who), new_id(), call))
            await somebody_waits(desk)
            await own.database.close()
            with pytest.raises(DatabaseUnavailable):
                await making
            await until(lambda: looks, "it is looked for")
        assert await own.pictures.desk.close(20)
    assert looks[0] is None
    (job,) = await desk.sql("SELECT id FROM jobs")
    assert await jobs.state(job["id"]) is JobState.CANCELLED
    assert await desk.money(who.account) == (1000, 0)
    await desk.clean()
