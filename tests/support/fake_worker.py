"""A worker in the test's own process that draws what a test says, over the gateway's own queue and store of files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec

from minitoolai.core.jobs import ClaimedJob, JobKind, StoredFile
from minitoolai.core.pictures import PictureRequest
from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.storage.database import Database
from minitoolai.storage.job_queue import PgJobQueue
from minitoolai.storage.seal import Seal
from tests.support.local_gateway import LocalGateway
from tests.support.pictures import picture

#: What the gateway serves by its upstream's lane: the worker below takes that.
MODELS = {
    "realvision": ModelSettings(engine="up", aliases=("vision",)),
    "dreamshaper": ModelSettings(engine="up", sizes=("512x512", "1536x1024")),
}
PRICE = 1_500_000


class FakeWorker:
    """Draws the jobs of one engine once `go` is set."""

    def __init__(self, queue: PgJobQueue, gateway: LocalGateway) -> None:
        self.queue = queue
        self._gateway = gateway
        self.go = asyncio.Event()
        #: What the next jobs fail with.
        self.failure: str | None = None
        #: What was asked, in the order in which it was drawn.
        self.asked: list[PictureRequest] = []
        #: Colours of the pictures, by seed; black is all others'.
        self.colors: dict[int, tuple[int, int, int]] = {}

    async def take(self, most: int = 100) -> list[ClaimedJob]:
        """Claim jobs and leave them running."""
        return await self.queue.claim("up", JobKind.PICTURE, most)

    async def end(self, job: ClaimedJob) -> None:
        """Draw a job, or fail it."""
        asked = msgspec.json.decode(job.request, type=PictureRequest)
        self.asked.append(asked)
        if self.failure is not None:
            await self.queue.fail(job, self.failure)
            return
        data = picture(size=(asked.width, asked.height), color=self.colors.get(asked.seed, 0))
        name = f"pictures/2026-11-25/{job.id}-{job.attempt}.png"
        await self._gateway.inside.drawn.blobs.put(name, data, "image/png")
        await self.queue.complete(job, "up", StoredFile(name, len(data)), {"seed": asked.seed})

    async def run(self) -> None:
        """Draw for ever."""
        while True:
            await self.go.wait()
            for job in await self.take():
                await self.end(job)
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def fake_worker(gateway: LocalGateway, *, waits: bool = False) -> AsyncIterator[FakeWorker]:
    """A worker with the keys of `local_gateway`, which draws at once, or `waits`; what waits at the end is failed."""
    database = Database(gateway.books.url, pool_size=1)
    worker = FakeWorker(PgJobQueue(database, uuid4(), Seal(bytes(32))), gateway)
    if not waits:
        worker.go.set()
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for job in await worker.take():
            await worker.queue.fail(job, "The test is over.")
        await database.close()
