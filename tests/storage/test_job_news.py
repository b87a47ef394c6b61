"""What is heard of jobs: who waits for one is woken by it, and by nothing that concerns another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

from minitoolai.storage.job_news import CHANNEL, PgJobNews
from tests.storage.desk import Desk
from tests.storage.job_desk import ENGINE, FILE, JobDesk

#: Whoever is not woken waits so long.
LONG_S = 60.0
#: What is to happen takes milliseconds.
PATIENCE_S = 20.0


@contextlib.asynccontextmanager
async def listening(desk: Desk) -> AsyncIterator[PgJobNews]:
    """News that are listened to."""
    news = PgJobNews(desk.database)
    task = asyncio.create_task(news.listen())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await desk.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'"
                                     " AND datname = current_database()"):  # fmt: skip
                await asyncio.sleep(0.005)
        yield news
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def woken(waiting: asyncio.Task[None]) -> None:
    """Assert that a waiter is woken long before its time."""
    async with asyncio.timeout(PATIENCE_S):
        await waiting


async def test_everything_that_puts_a_job_into_a_queue_is_heard(desk: Desk) -> None:
    """Its making, its retry, its return from a dead worker: by those who wait for its engine, and nobody else."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    async with listening(desk) as news:
        other = asyncio.create_task(news.queued("another engine", LONG_S))
        for event in ("made", "tried again", "put back"):
            waiting = [asyncio.create_task(news.queued(ENGINE, LONG_S)) for _ in range(3)]
            await asyncio.sleep(0)
            if event == "made":
                await jobs.ask(who)
            elif event == "tried again":
                assert await worker.retry(await jobs.claimed(worker), 0)
            else:
                await jobs.lapse((await jobs.claimed(worker)).id)
                assert await worker.sweep(3600) == (1, 0)
            for task in waiting:
                await woken(task)
        assert not other.done()
        other.cancel()


async def test_every_end_of_a_job_is_heard(desk: Desk) -> None:
    """Drawn, failed, cancelled, given up: by those who wait for that job."""
    jobs = JobDesk(desk)
    who, worker = await jobs.customer(), jobs.worker()
    made = await jobs.asks(who, 4)
    done, failed = await jobs.claimed(worker), await jobs.claimed(worker)
    async with listening(desk) as news:
        waiting = [asyncio.create_task(news.ended(job_id, LONG_S)) for job_id in made]
        await asyncio.sleep(0)
        assert await worker.complete(done, "e", FILE, {})
        await woken(waiting[0])
        assert [task.done() for task in waiting] == [True, False, False, False]
        assert await worker.fail(failed, "why")
        await woken(waiting[1])
        assert await jobs.jobs.cancel(made[2], "why")
        await woken(waiting[2])
        assert not waiting[3].done()
        assert await worker.sweep(-1) == (0, 1)
        await woken(waiting[3])


async def test_what_did_not_happen_wakes_nobody(desk: Desk) -> None:
    """A refused job, and a write that does not count."""
    jobs = JobDesk(desk, per_account=1)
    who, worker = await jobs.customer(15), jobs.worker()
    await jobs.asks(who, 1)
    async with listening(desk) as news:
        queued = asyncio.create_task(news.queued(ENGINE, LONG_S))
        await asyncio.sleep(0)
        assert (await jobs.jobs.create(jobs.new(who, price_nusd=1))).full
        assert not (await jobs.jobs.create(jobs.new(who, price_nusd=99))).answer.granted_nusd
        job = await jobs.claimed(worker)
        ended = asyncio.create_task(news.ended(job.id, LONG_S))
        assert await worker.retry(job, 0)
        await woken(queued)
        assert not await worker.complete(job, "e", FILE, {})
        marker = asyncio.create_task(news.ended(5, LONG_S))
        await asyncio.sleep(0)
        await desk.sql(f"NOTIFY {CHANNEL}, 'ended 5'")
        await woken(marker)
        assert not ended.done()
        ended.cancel()


async def test_nobody_waits_longer_than_he_said(desk: Desk) -> None:
    """Without any news, and without anybody listening; nothing is kept of those who left."""
    news = PgJobNews(desk.database)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(news.ended(5, 0.01), news.queued(ENGINE, 0.01), news.ended(5, 0))
    leaving = asyncio.create_task(news.ended(5, LONG_S))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    assert not news._waiting


async def test_everybody_can_be_woken(desk: Desk) -> None:
    """By whoever stops this process: nobody is left waiting."""
    news = PgJobNews(desk.database)
    waiting = [asyncio.create_task(news.ended(5, LONG_S)), asyncio.create_task(news.queued(ENGINE, LONG_S))]
    await asyncio.sleep(0)
    news.wake()
    for task in waiting:
        await woken(task)


async def test_a_gap_in_listening_wakes_everybody(desk: Desk) -> None:
    """Whoever waits looks for himself; what happens after the gap is heard again."""
    jobs = JobDesk(desk)
    who = await jobs.customer()
    async with listening(desk) as news:
        waiting = [asyncio.create_task(news.ended(5, LONG_S)), asyncio.create_task(news.queued(ENGINE, LONG_S))]
        await asyncio.sleep(0)
        killer = await asyncpg.connect(desk.url)
        try:
            assert await killer.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
            for task in waiting:
                await woken(task)
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    again = asyncio.create_task(news.queued(ENGINE, LONG_S))
                    await asyncio.sleep(0)
                    await jobs.ask(who)
                    if await asyncio.wait([again], timeout=0.5) == (set(), {again}):
                        again.cancel()
                        continue
                    break
        finally:
            await killer.close()
