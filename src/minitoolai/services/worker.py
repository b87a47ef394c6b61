"""A worker: takes jobs out of the queues of each engine that it has, as many as that does side by side, and has them run.

| what ends | what becomes of its jobs |
|---|---|
| the worker is told to stop | they may finish until the drain is over, then they are put back |
| the worker dies | their leases lapse, and a sweep puts them back (`job_keeping`) |
| a job is cancelled, or given to another | the next renewal says so, and work on it stops |
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.jobs import ClaimedJob
from minitoolai.services.job_keeping import keep_jobs
from minitoolai.services.job_ports import JobNews, JobQueue
from minitoolai.services.job_run import InHand, JobRun
from minitoolai.services.lanes import Lane

#: Seconds between two looks into a queue of which nothing is heard: jobs that wait for their next attempt are found so.
LOOK_S = 2.0
#: Seconds that a worker which stops waits for the database to take its jobs back; those it did not take lapse.
PUT_BACK_S = 5.0

log = logging.getLogger(__name__)


class Worker:
    """Does the jobs of its lanes."""

    def __init__(
        self, queue: JobQueue, news: JobNews, runs: JobRun, lanes: Sequence[Lane], *, drain_timeout_s: float
    ) -> None:
        """`drain_timeout_s`: how long jobs may go on once it is told to stop."""
        self._queue = queue
        self._news = news
        self._runs = runs
        self.lanes = lanes
        self._drain_timeout_s = drain_timeout_s
        self._hands: set[InHand] = set()
        self._stopping = False
        self._hurry = asyncio.Event()
        #: Whether the last claim reached the database.
        self._reachable = True

    def stop(self) -> None:
        """Take no more jobs; told a second time, wait for none."""
        if self._stopping:
            self._hurry.set()
        self._stopping = True
        for lane in self.lanes:
            lane.changed.set()

    async def run(self) -> None:
        """Work until told to stop, and until the last job is ended or put back."""
        keeping = asyncio.create_task(keep_jobs(self._queue, lambda: list(self._hands)), name="keep jobs")
        try:
            await asyncio.gather(*(self._serve(lane) for lane in self.lanes))
            await self._drain()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _serve(self, lane: Lane) -> None:
        """Take jobs of one lane until told to stop."""
        while not self._stopping:
            lane.changed.clear()
            free = await lane.free()
            if free > 0:
                # It listens before it looks: a job that comes in between is heard.
                news = asyncio.create_task(self._news.queued(lane.engine, LOOK_S))
            else:
                news = asyncio.create_task(asyncio.sleep(LOOK_S))
            changed = asyncio.create_task(lane.changed.wait())
            try:
                await asyncio.sleep(0)
                jobs = await self._claim(lane, free) if free > 0 and not self._stopping else []
                for job in jobs:
                    self._take(lane, job)
                if not jobs:
                    await asyncio.wait({news, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end(news, changed)

    async def _claim(self, lane: Lane, most: int) -> Sequence[ClaimedJob]:
        try:
            jobs = await self._queue.claim(lane.engine, lane.kind, most)
        except DatabaseUnavailable:
            if self._reachable:
                log.error("the database cannot be reached: no job is taken until it is back")
            self._reachable = False
            return []
        except Exception:  # the loop's boundary: one queue must not end the others'
            log.exception("no %s job of %s can be taken", lane.kind, lane.engine)
            return []
        if not self._reachable:
            log.warning("the database is back")
        self._reachable = True
        return jobs

    def _take(self, lane: Lane, job: ClaimedJob) -> None:
        hand = InHand(job)
        self._hands.add(hand)
        lane.running += 1
        hand.task = asyncio.create_task(self._run(lane, hand), name=f"job {job.id}")

    async def _run(self, lane: Lane, hand: InHand) -> None:
        try:
            await self._runs.run(hand)
        except asyncio.CancelledError:
            if not hand.lost and not hand.ending:
                await self._runs.put_back(hand)
        except Exception:  # the boundary of a job's end: its lease lapses, and a sweep looks after it
            log.exception("job %d could not be ended", hand.job.id)
        finally:
            self._hands.discard(hand)
            lane.running -= 1
            lane.changed.set()

    async def _drain(self) -> None:
        """Wait for the jobs in hand, then put back those that are not done."""
        tasks = [hand.task for hand in self._hands if hand.task is not None]
        if not tasks:
            return
        log.info("stopping: %d jobs go on to their end", len(tasks))
        hurry, done = asyncio.create_task(self._hurry.wait()), asyncio.create_task(asyncio.wait(tasks))
        await asyncio.wait({hurry, done}, timeout=self._drain_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        await _end(hurry, done)
        for hand in list(self._hands):
            hand.stop()
        _, left = await asyncio.wait(tasks, timeout=PUT_BACK_S)
        await _end(*left)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are gone."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
