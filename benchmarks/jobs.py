"""The queue of jobs alone: how fast they are made, claimed and ended, and how soon a waiting worker has one.

No picture is drawn: what is measured is the storage, over the embedded database as it comes (`fsync = on`).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from benchmarks.build import BUILD
from benchmarks.processes import PRIORITY, favour, tree
from benchmarks.report import conditions
from minitoolai.core.access import key_digest, key_hint, make_key
from minitoolai.core.accounts import KeyTerms
from minitoolai.core.ids import uuid7
from minitoolai.core.jobs import MIN_JOB_ID, JobKind, NewJob, QueueLimits, StoredFile
from minitoolai.core.ledger import HoldOutcome
from minitoolai.runtime.postgres import temporary_server
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.database import Database
from minitoolai.storage.job_news import PgJobNews
from minitoolai.storage.job_queue import PgJobQueue
from minitoolai.storage.jobs import PgJobs
from minitoolai.storage.key_book import PgKeyBook
from minitoolai.storage.migrate import migrate
from minitoolai.storage.seal import Seal

#: Callers, or workers, at once.
MANY = 32
WORKERS = 8
#: Far more than all jobs of a run cost, and what one does, in nano-dollars.
CREDIT_NUSD, PRICE_NUSD = 10**17, 2_000_000
#: Jobs whose way to a waiting worker is timed, and the pause before each: the worker waits by then.
WAKES, WAKE_PAUSE_S = 200, 0.01
#: A worker that hears nothing looks by itself after so long, as the product's do.
LOOK_S = 2.0
ENGINE = "bench"
HEADER = f"{'what':38} {'per s':>8} {'p50 ms':>8} {'p99 ms':>8} {'of':>7}"

_SEAL = Seal(bytes(32))
_PROMPT = json.dumps({"prompt": "a lighthouse at dusk, " * 10, "steps": 8, "width": 1024, "height": 1024}).encode()
_FILE = StoredFile("pictures/2026-11-25/1.png", 1_500_000)


@dataclass(frozen=True, slots=True)
class Result:
    """What one measurement gave; times in milliseconds."""

    what: str
    per_s: float
    p50_ms: float
    p99_ms: float
    times: int

    def row(self) -> str:
        """Return one line of the table."""
        return f"{self.what:38} {self.per_s:8.0f} {self.p50_ms:8.2f} {self.p99_ms:8.2f} {self.times:7d}"


def result(what: str, took_s: float, times_s: Sequence[float]) -> Result:
    """Sum up operations that took `times_s` each and `took_s` together. Raises `ValueError` when there was none."""
    if not times_s:
        raise ValueError(f"nothing was done: {what}")
    ordered = sorted(times_s)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return Result(what, len(ordered) / took_s, statistics.median(ordered) * 1000, p99 * 1000, len(ordered))


class Queue:
    """The jobs of one database, and the accounts that ask for them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = itertools.count(MIN_JOB_ID)
        limits = QueueLimits(per_account=10**9, in_all=10**9)
        self.jobs = PgJobs(database, seal=_SEAL, replays=_SEAL, limits=limits)
        self.news = PgJobNews(database)
        self.customers: list[tuple[int, int]] = []

    async def open(self) -> None:
        """Make the accounts, each with a key, and forget the jobs of earlier runs."""
        accounts, keys = PgAccounts(self._database), PgKeyBook(self._database)
        async with self._database.connection() as connection:
            await connection.execute("TRUNCATE jobs, job_clocks, holds, accounts, keys, credits CASCADE")
        for number in range(MANY):
            name = f"bench {number}"
            made = await accounts.create(name, actor="bench")
            await accounts.credit(name, CREDIT_NUSD, credit_id=str(new_id()), transfer_id=new_id(), actor="bench")
            secret = make_key(os.urandom(32))
            terms = KeyTerms()
            key = await keys.create(name, digest=key_digest(secret), hint=key_hint(secret), terms=terms, actor="bench")
            self.customers.append((made.id, key.id))

    def worker(self) -> PgJobQueue:
        """Return a worker's queue."""
        return PgJobQueue(self._database, new_id(), _SEAL)

    async def make(self, customer: int) -> None:
        """Make a job. Raises `RuntimeError` when it is refused."""
        account, key = self.customers[customer]
        created = await self.jobs.create(NewJob(next(self._ids), new_id(), account, key, PRICE_NUSD, "m", ENGINE, _PROMPT))
        if created.answer.outcome is not HoldOutcome.GRANTED or created.full or created.id_taken:
            raise RuntimeError(f"a job was refused: {created}")

    async def draw(self, worker: PgJobQueue) -> None:
        """Take the next job and end it at once. Raises `RuntimeError` when there is none."""
        for job in await worker.claim(ENGINE, JobKind.PICTURE, 1):
            if await worker.complete(job, ENGINE, _FILE, {"seed": 7}):
                return
        raise RuntimeError("there was no job to draw: make more, or measure for a shorter time")

    async def depth(self) -> int:
        """Return how many jobs wait."""
        return (await self.worker().depths()).get((ENGINE, "queued"), 0)


def new_id() -> UUID:
    """Return an id as callers make them."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


async def repeat(what: str, seconds: float, at_once: int, operation: Callable[[int], Awaitable[None]]) -> Result:
    """Let `at_once` tasks do an operation (by the number of the task) one after the other, for so long."""
    times: list[float] = []
    began = time.perf_counter()

    async def go_on(number: int) -> None:
        while (now := time.perf_counter()) < began + seconds:
            await operation(number)
            times.append(time.perf_counter() - now)

    await asyncio.gather(*[go_on(number) for number in range(at_once)])
    return result(what, time.perf_counter() - began, times)


async def wakes(queue: Queue) -> Result:
    """Time jobs from the moment that their caller sends them to the moment that a worker who waited has them."""
    listening = asyncio.create_task(queue.news.listen())
    worker = queue.worker()
    had: asyncio.Queue[float] = asyncio.Queue()

    async def work() -> None:
        while True:
            news = asyncio.create_task(queue.news.queued(ENGINE, LOOK_S))
            await asyncio.sleep(0)  # it listens before it looks
            jobs = await worker.claim(ENGINE, JobKind.PICTURE, 1)
            for job in jobs:
                had.put_nowait(time.perf_counter())
                await worker.complete(job, ENGINE, _FILE, {"seed": 7})
            if not jobs:
                await news

    working = asyncio.create_task(work())
    times, took = [], 0.0
    try:
        await asyncio.sleep(0.5)  # it listens by then
        for number in range(WAKES):
            await asyncio.sleep(WAKE_PAUSE_S)
            sent = time.perf_counter()
            await queue.make(number % MANY)
            getting = asyncio.create_task(had.get())
            await asyncio.wait({getting, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()  # it works for ever, unless it failed
            times.append(getting.result() - sent)
            took += times[-1]
    finally:
        for task in (listening, working):
            task.cancel()
        await asyncio.gather(listening, working, return_exceptions=True)
    return result("sent, to in a waiting worker's hands", took, times)


async def measure(url: str, seconds: float, tell: Callable[[Result], None]) -> None:
    """Run all measurements, and tell each result."""
    await migrate(url)
    database = Database(url, pool_size=MANY + 4)
    try:
        queue = Queue(database)
        await queue.open()
        tell(await wakes(queue))
        tell(await repeat("made, one by one", seconds, 1, queue.make))
        tell(await repeat(f"made, {MANY} at once, one account", seconds, MANY, lambda _: queue.make(0)))
        tell(await repeat(f"made, {MANY} at once, an account each", 2 * seconds, MANY, queue.make))
        print(f"{await queue.depth()} jobs wait", flush=True)
        workers = [queue.worker() for _ in range(WORKERS)]
        tell(await repeat("claimed and ended, one worker", seconds, 1, lambda n: queue.draw(workers[n])))
        tell(await repeat(f"claimed and ended, {WORKERS} workers", seconds, WORKERS, lambda n: queue.draw(workers[n])))
    finally:
        await database.close()


async def run(seconds: float, data: Path) -> None:
    """Start the database, measure, print the table and write a line a result."""
    file = BUILD / f"jobs-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.jsonl"
    with file.open("w", buffering=1) as out:

        def tell(found: Result) -> None:
            out.write(json.dumps(asdict(found)) + "\n")
            print(found.row(), flush=True)

        async with temporary_server(data / "data") as url:
            favour(tree(os.getpid()))
            print(HEADER, flush=True)
            await measure(url, seconds, tell)
    print(f"JSON lines: {file}")


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="of each measurement (4)")
    parser.add_argument("--data", type=Path, default=BUILD / "jobs", metavar="DIR", help="folder for the database")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    BUILD.mkdir(exist_ok=True)
    print(conditions(options.data, Path(sys.executable)), flush=True)
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)  # the database inherits it
    asyncio.run(run(options.seconds, options.data))


if __name__ == "__main__":
    main()
