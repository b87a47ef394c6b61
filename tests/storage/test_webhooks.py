"""Webhooks that are due: given to one teller at a time, each account in its turn, put off by each attempt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minitoolai.core.jobs import JobKind, JobState, NewJob
from minitoolai.core.webhooks import MAX_ATTEMPTS, WAITS_S
from minitoolai.storage.seal import Seal, SealBroken
from minitoolai.storage.webhooks import PgWebhooks
from tests.storage.desk import SEAL, Desk
from tests.storage.job_desk import FILE, SOUND, SPEECH, Customer, JobDesk

URL = "https://canary.example/told"


async def ended(jobs: JobDesk, who: Customer, **more: Any) -> NewJob:
    """Make a job with a webhook, and cancel it."""
    new = await jobs.ask(who, **{"webhook_url": URL, **more})
    assert await jobs.jobs.cancel(new.id, "not wanted")
    return new


async def make_due(desk: Desk) -> None:
    """Let every wait be over."""
    await desk.sql("UPDATE webhooks SET next_at = now() - interval '1 s'")


async def test_what_is_claimed(desk: Desk) -> None:
    """The job as it stands, its URL in clear, and which attempt it is; a job without a webhook, or that has not ended,
    is not told."""
    jobs, webhooks = JobDesk(desk), PgWebhooks(desk.database, SEAL)
    who = await jobs.customer()
    drawn = await jobs.ask(who, webhook_url=URL)
    await jobs.ask(who, webhook_url=URL, engine="other")
    await jobs.jobs.cancel((await jobs.ask(who, engine="other")).id, "not wanted")
    assert await webhooks.claim(9) == []
    worker = jobs.worker()
    assert await worker.complete(await jobs.claimed(worker), "e", FILE, {"seed": 7})
    (due,) = await webhooks.claim(9)
    assert (due.job, due.url, due.attempt) == (await jobs.look(drawn.id), URL, 1)
    assert due.job.state is JobState.SUCCEEDED


async def test_speech_is_claimed_as_what_it_is(desk: Desk) -> None:
    """With its kind, its characters and its file: its message has all of them."""
    jobs, webhooks = JobDesk(desk), PgWebhooks(desk.database, SEAL)
    await jobs.ask(await jobs.customer(), webhook_url=URL, **SPEECH)
    worker = jobs.worker()
    assert await worker.complete(await jobs.claimed(worker, kind=JobKind.SPEECH), "e", SOUND, {})
    (due,) = await webhooks.claim(9)
    assert (due.job.kind, due.job.characters, due.job.file) == (JobKind.SPEECH, 5000, SOUND.name)


async def test_each_attempt_puts_off_the_next(desk: Desk) -> None:
    """By the waits of the law, the last one again for a teller that died at its last attempt."""
    jobs, webhooks = JobDesk(desk), PgWebhooks(desk.database, SEAL)
    await ended(jobs, await jobs.customer())
    for attempt in range(1, MAX_ATTEMPTS + 2):
        (due,) = await webhooks.claim(9)
        assert due.attempt == attempt
        assert await webhooks.claim(9) == [], "it is not due any more"
        (row,) = await desk.sql("SELECT extract(epoch FROM next_at - clock_timestamp())::float AS wait_s FROM webhooks")
        wait_s = WAITS_S[min(attempt, len(WAITS_S)) - 1]
        assert wait_s - 10 < row["wait_s"] <= wait_s
        await make_due(desk)


async def test_what_is_forgotten(desk: Desk) -> None:
    """It is not told again; forgetting it twice does no harm."""
    jobs, webhooks = JobDesk(desk), PgWebhooks(desk.database, SEAL)
    who = await jobs.customer()
    new, other = await ended(jobs, who), await ended(jobs, who)
    await webhooks.forget(new.id)
    await webhooks.forget(new.id)
    assert [due.job.id for due in await webhooks.claim(9)] == [other.id]


async def test_several_tellers(desk: Desk) -> None:
    """Ten at once are given each webhook once."""
    jobs = JobDesk(desk)
    who = await jobs.customer()
    made = [(await ended(jobs, who)).id for _ in range(25)]
    claims = await asyncio.gather(*[PgWebhooks(desk.database, SEAL).claim(4) for _ in range(10)])
    claims.append(await PgWebhooks(desk.database, SEAL).claim(25))
    assert sorted(due.job.id for some in claims for due in some) == made


async def test_accounts_take_turns(desk: Desk) -> None:
    """Each account's first comes before any account's second, and the oldest of an account before its younger ones."""
    jobs, webhooks = JobDesk(desk), PgWebhooks(desk.database, SEAL)
    greedy, modest, late = [await jobs.customer() for _ in range(3)]
    many = [(await ended(jobs, greedy)).id for _ in range(5)]
    two = [(await ended(jobs, modest)).id for _ in range(2)]
    one = [(await ended(jobs, late)).id]
    turns = [{due.job.id for due in await webhooks.claim(most)} for most in (3, 2, 9)]
    assert turns == [{many[0], two[0], one[0]}, {many[1], two[1]}, set(many[2:])]


async def test_a_job_that_is_forgotten(desk: Desk) -> None:
    """Its webhook goes with it."""
    jobs, webhooks = JobDesk(desk), PgWebhooks(desk.database, SEAL)
    new = await ended(jobs, await jobs.customer())
    await jobs.worker().forget([new.id])
    assert await webhooks.claim(9) == []
    assert await desk.sql("SELECT 1 FROM webhooks") == []


async def test_urls_are_sealed(desk: Desk) -> None:
    """With another key nobody reads where they lead."""
    jobs = JobDesk(desk)
    await ended(jobs, await jobs.customer())
    with pytest.raises(SealBroken):
        await PgWebhooks(desk.database, Seal(bytes(range(32)))).claim(1)
