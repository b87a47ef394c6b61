"""Jobs and their holds are made together or not at all; their owners look at them and cancel them."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from minitoolai.core.jobs import MAX_JOB_ID, MIN_JOB_ID, JobState
from minitoolai.core.ledger import CallOutcome, HoldOutcome, Repeatable
from tests.storage.desk import SEAL, Desk, ask
from tests.storage.job_desk import FILE, PRICE, JobDesk, granted

SAME = Repeatable("k", b"body")
#: What makes the ledger refuse, the job's price, and its word.
REFUSALS: dict[str, tuple[str, int, HoldOutcome]] = {
    "no credit": ("SELECT 1", 1001, HoldOutcome.NO_CREDIT),
    "the key's limit": ("UPDATE keys SET spend_limit = 9", PRICE, HoldOutcome.KEY_LIMIT),
    "a revoked key": ("UPDATE keys SET revoked_at = now()", PRICE, HoldOutcome.KEY_INVALID),
    "an expired key": ("UPDATE keys SET expires_at = now() - interval '1 s'", PRICE, HoldOutcome.KEY_INVALID),
    "a suspended account": ("UPDATE accounts SET suspended_at = now()", PRICE, HoldOutcome.ACCOUNT_SUSPENDED),
}


async def test_a_job_is_made_drawn_and_charged_once(desk: Desk) -> None:
    """Its hold stands until its picture does; the same end twice is refused; the record says what it was."""
    jobs = JobDesk(desk)
    who = await jobs.customer(100)
    created = await jobs.jobs.create(new := jobs.new(who))
    assert (created.answer.outcome, created.answer.granted_nusd, created.answer.available_nusd) == (
        HoldOutcome.GRANTED, PRICE, 90,
    )  # fmt: skip
    assert created.answer.rates is not None
    seen = await jobs.look(new.id)
    assert (seen.call_id, seen.account_id, seen.model, seen.state) == (new.call_id, who.account, "m", JobState.QUEUED)
    assert (seen.position, seen.progress, seen.cost_nusd, seen.message, seen.ended_at) == (1, 0, 0, None, None)
    assert await desk.money(who.account) == (100, PRICE)
    await desk.clean()
    worker = jobs.worker()
    job = await jobs.claimed(worker)
    assert (job.id, job.call_id, job.attempt, job.model, job.engine) == (new.id, new.call_id, 1, "m", new.engine)
    assert (job.request, job.created_at) == (b"canary prompt", seen.created_at)
    assert await worker.renew({(job.id, 1): 0.5}) == set()
    seen = await jobs.look(new.id)
    assert (seen.state, seen.position, seen.progress) == (JobState.RUNNING, None, 0.5)
    assert await jobs.jobs.file(new.id) is None
    assert await worker.complete(job, "other engine", FILE, {"seed": 7})
    assert not await worker.complete(job, "other engine", FILE, {"seed": 7})
    seen = await jobs.look(new.id)
    assert (seen.state, seen.progress, seen.cost_nusd, seen.result) == (JobState.SUCCEEDED, 1, PRICE, {"seed": 7})
    assert seen.ended_at is not None
    assert await jobs.jobs.file(new.id) == FILE
    assert await jobs.charges() == [(new.call_id, PRICE)]
    (record,) = await desk.sql("SELECT * FROM usage_records")
    assert (record["id"], record["outcome"], record["images"], record["engine"], record["model"]) == (
        new.call_id, CallOutcome.COMPLETED, 1, "other engine", "m",
    )  # fmt: skip
    assert (record["held"], record["cost"], record["fees"]) == (PRICE, PRICE, PRICE)
    assert await desk.money(who.account) == (90, 0)
    await desk.clean()


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refused_job_leaves_nothing(desk: Desk, refusal: str) -> None:
    """Neither a job, nor a hold, nor a call of the key's minute, nor a claim on its Idempotency-Key."""
    jobs = JobDesk(desk)
    who = await jobs.customer(1000)
    statement, price, outcome = REFUSALS[refusal]
    await desk.sql(statement)
    created = await jobs.jobs.create(jobs.new(who, price_nusd=price, repeatable=SAME, reply=b"made"))
    assert (created.answer.outcome, created.full, created.id_taken) == (outcome, False, False)
    await jobs.unchanged(who, 1000)
    await desk.clean()


async def test_a_key_of_another_account_makes_no_job(desk: Desk) -> None:
    """Nothing is held for either."""
    jobs = JobDesk(desk)
    one, two = await jobs.customer(1000), await jobs.customer(1000)
    created = await jobs.jobs.create(jobs.new(one, key_id=two.key))
    assert created.answer.outcome is HoldOutcome.KEY_INVALID
    await jobs.unchanged(one, 1000)


async def test_jobs_count_against_the_keys_minute(desk: Desk) -> None:
    """One call each, by the key's own limit or else the server's; the one too many is refused and counts nothing."""
    jobs = JobDesk(desk)
    who, own = await jobs.customer(), await jobs.customer(requests_per_minute=3)
    shop = jobs.shop(rpm=2)
    for customer, most in ((who, 2), (own, 3)):
        answers = [(await shop.create(jobs.new(customer))).answer for _ in range(most + 1)]
        assert [answer.outcome for answer in answers] == [HoldOutcome.GRANTED] * most + [HoldOutcome.RATE_REQUESTS]
        assert [answer.rates and answer.rates.requests_left for answer in answers] == [*reversed(range(most)), 0]
        assert len(await desk.sql("SELECT 1 FROM jobs WHERE account_id = $1", customer.account)) == most
    await desk.clean()


@pytest.mark.parametrize(("limits", "of_account"), [({"per_account": 2}, True), ({"in_all": 2}, False)])
async def test_a_full_queue_refuses_and_holds_nothing(desk: Desk, limits: dict[str, int], of_account: bool) -> None:
    """By account and in all; what is drawn, cancelled or ended makes room; the refused call is not counted."""
    jobs = JobDesk(desk, **limits)
    who, other = await jobs.customer(), await jobs.customer()
    first, second = await jobs.asks(who, 2)
    for _ in range(2):
        created = await jobs.jobs.create(jobs.new(who, repeatable=SAME, reply=b"made"))
        assert (created.full, created.of_account, created.id_taken) == (True, of_account, False)
    created = await jobs.jobs.create(jobs.new(other, engine="another engine"))
    assert created.full is not of_account
    (key,) = await desk.sql("SELECT held, minute_requests FROM keys WHERE id = $1", who.key)
    assert tuple(key) == (2 * PRICE, 2)
    assert await desk.sql("SELECT 1 FROM replays") == []
    if of_account:
        return
    worker = jobs.worker()
    assert (await jobs.claimed(worker)).id == first
    await jobs.ask(who)
    assert (await jobs.jobs.create(jobs.new(who))).full
    assert await jobs.jobs.cancel(second, "why")
    await jobs.ask(who)
    await desk.clean()


async def test_an_accounts_limit_is_exact_when_all_come_at_once(desk: Desk) -> None:
    """Of forty calls over two processes exactly as many pass as may wait."""
    jobs = JobDesk(desk, per_account=7)
    who, shop = await jobs.customer(), jobs.shop(per_account=7)
    makers = [jobs.jobs, shop] * 20
    made = await asyncio.gather(*[maker.create(jobs.new(who)) for maker in makers])
    assert [granted(created) for created in made].count(True) == 7
    assert all(granted(created) or (created.full and created.of_account) for created in made)
    assert await desk.money(who.account) == (10**6, 7 * PRICE)
    await desk.clean()


async def test_an_id_is_given_once(desk: Desk) -> None:
    """A second job of an id is told so and holds nothing: of the same account, of another, and of two at the same time."""
    jobs = JobDesk(desk)
    who, other = await jobs.customer(1000), await jobs.customer(1000)
    first = await jobs.ask(who)
    for customer in (who, other):
        created = await jobs.jobs.create(jobs.new(customer, id=first.id, repeatable=SAME, reply=b"made"))
        assert (created.id_taken, created.full) == (True, False)
    for id_ in range(first.id + 100, first.id + 120):
        made = await asyncio.gather(*[jobs.jobs.create(jobs.new(customer, id=id_)) for customer in (who, other)])
        assert sorted(created.id_taken for created in made) == [False, True]
    assert sum([(await desk.money(customer.account))[1] for customer in (who, other)]) == 21 * PRICE
    assert await desk.sql("SELECT 1 FROM replays") == []
    await desk.clean()


@pytest.mark.parametrize("wrong", [{"id": MIN_JOB_ID - 1}, {"id": MAX_JOB_ID + 1}, {"price_nusd": -1}])
async def test_what_no_caller_asks_for_is_no_quiet_refusal(desk: Desk, wrong: dict[str, Any]) -> None:
    """An id out of bounds or a price below nothing is a fault of the program and raised; nothing stands."""
    jobs = JobDesk(desk)
    who = await jobs.customer(1000)
    with pytest.raises(asyncpg.CheckViolationError):
        await jobs.jobs.create(jobs.new(who, **wrong))
    await jobs.unchanged(who, 1000)


async def test_a_free_picture_is_a_job_like_any_other(desk: Desk) -> None:
    """Its hold is of nothing, and so is its charge."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(0), jobs.worker()
    for price in (0, 0):
        new = await jobs.ask(who, price_nusd=price)
        await desk.clean()
        assert await worker.complete(await jobs.claimed(worker), "e", FILE, {})
        assert await jobs.state(new.id) is JobState.SUCCEEDED
    assert await jobs.charges() == []
    assert len(await desk.sql("SELECT 1 FROM usage_records WHERE images = 1")) == 2
    await desk.clean()


async def test_jobs_that_are_not_there_are_not_found(desk: Desk) -> None:
    """Neither they nor a picture of theirs."""
    jobs = JobDesk(desk)
    assert await jobs.jobs.find(MIN_JOB_ID) is None
    assert await jobs.jobs.file(MIN_JOB_ID) is None


async def test_positions_count_what_waits_before(desk: Desk) -> None:
    """In the order in which an engine's jobs will be drawn, from 1; what runs or was cancelled is not counted."""
    jobs = JobDesk(desk)
    one, two, worker = await jobs.customer(), await jobs.customer(), jobs.worker()
    mine = await jobs.asks(one, 3)
    (other,) = await jobs.asks(two, 1)
    assert [(await jobs.look(id_)).position for id_ in (mine[0], other, *mine[1:])] == [1, 2, 3, 4]
    await jobs.claimed(worker)
    assert await jobs.jobs.cancel(mine[1], "why")
    assert [(await jobs.look(id_)).position for id_ in (*mine, other)] == [None, None, 2, 1]


async def test_what_is_asked_stands_nowhere_in_clear(desk: Desk) -> None:
    """Prompt and address are encrypted for their own job while it lives, and erased when it ends, however it does."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    news = [await jobs.ask(who, webhook_url="https://canary.example/") for _ in range(4)]
    for new in news:
        row = await jobs.row(new.id)
        assert b"canary" not in b"".join(value for value in row.values() if isinstance(value, bytes))
        assert "canary" not in str([value for value in row.values() if not isinstance(value, bytes)])
        assert SEAL.open(row["request"], new.call_id.bytes) == b"canary prompt"
        assert SEAL.open(row["webhook_url"], new.call_id.bytes) == b"https://canary.example/"
    assert len({(await jobs.row(new.id))["request"] for new in news}) == 4
    assert await jobs.jobs.cancel(news[0].id, "why")
    done, failed, waiting = [await jobs.claimed(worker) for _ in range(3)]
    assert await worker.complete(done, "e", FILE, {})
    assert await worker.fail(failed, "why")
    assert await worker.retry(waiting, 0)
    assert await worker.sweep(-1) == (0, 1)
    for new in news:
        row = await jobs.row(new.id)
        assert row["ended_at"] is not None
        assert (row["request"], row["webhook_url"], row["worker_id"], row["lease_until"]) == (None,) * 4
    told = await desk.sql("SELECT job_id, account_id, url, attempts FROM webhooks ORDER BY job_id")
    assert [(row["job_id"], row["account_id"], row["attempts"]) for row in told] == [(n.id, who.account, 0) for n in news]
    assert [SEAL.open(row["url"], new.call_id.bytes) for row, new in zip(told, news, strict=True)] == [
        b"https://canary.example/"
    ] * 4


async def test_a_job_without_a_webhook_tells_nobody(desk: Desk) -> None:
    """No row is written for it."""
    jobs = JobDesk(desk)
    await jobs.asks(await jobs.customer(), 1)
    worker = jobs.worker()
    assert await worker.complete(await jobs.claimed(worker), "e", FILE, {})
    assert await desk.sql("SELECT 1 FROM webhooks") == []


async def test_holds_of_jobs_outlive_every_process(desk: Desk) -> None:
    """The ledger's sweep, which expires the holds of dead processes, leaves theirs alone, however old they are."""
    jobs = JobDesk(desk)
    who = await jobs.customer(1000)
    new = await jobs.ask(who)
    dead, alive = await desk.ledger(), await desk.ledger()
    await dead.hold(ask(who.account, who.key, 100))
    await desk.sql("UPDATE holds SET created_at = created_at - interval '3 days'")
    await desk.kill(dead)
    assert await alive.sweep() == 1
    assert await alive.renew({})
    assert alive.unsettled == 0
    assert await desk.money(who.account) == (1000, PRICE)
    assert await jobs.state(new.id) is JobState.QUEUED
    await desk.clean()
    worker = jobs.worker()
    assert await worker.complete(await jobs.claimed(worker), "e", FILE, {})
    await desk.clean()
