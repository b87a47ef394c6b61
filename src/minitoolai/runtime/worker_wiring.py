"""The composition root of a worker process: everything is built here, and nowhere else."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitoolai.api.files import file_path
from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.integrations.webhooks import Sender
from minitoolai.runtime.boot import WorkerBoot
from minitoolai.runtime.catalogue import models_of
from minitoolai.runtime.picture_engines import PictureEngines, build_picture_engines
from minitoolai.services.job_keeping import sweep_jobs
from minitoolai.services.job_run import JobRun
from minitoolai.services.lanes import Lanes
from minitoolai.services.metering import new_call_id
from minitoolai.services.picture_ports import PictureEngine
from minitoolai.services.routing import Router
from minitoolai.services.webhooks import Teller, deliver_webhooks
from minitoolai.services.worker import Worker
from minitoolai.storage.blobs import open_blobs
from minitoolai.storage.database import Database
from minitoolai.storage.job_news import PgJobNews
from minitoolai.storage.job_queue import PgJobQueue
from minitoolai.storage.seal import Seal
from minitoolai.storage.webhooks import PgWebhooks

#: Renewals, claims and ends of jobs are short statements.
CONNECTIONS = 4


@dataclass
class WorkerProcess:
    """What a worker process holds."""

    worker: Worker
    engines: PictureEngines
    #: Of webhooks.
    sender: Sender
    database: Database
    _background: list[asyncio.Task[Any]]

    async def close(self) -> None:
        """Let go of everything."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.engines.close()
        await self.sender.close()
        await self.database.close()


def build_worker(boot: WorkerBoot) -> WorkerProcess:
    """Build a worker over a migrated database. Raises `ConfigInvalid` where files cannot be kept as the settings say."""
    settings = boot.settings
    database = Database(boot.database_url, pool_size=CONNECTIONS)
    seal = Seal(bytes.fromhex(boot.jobs_key))
    queue = PgJobQueue(database, new_call_id(), seal)
    news = PgJobNews(database)
    blobs = open_blobs(settings.storage.url, Path(boot.data_dir), boot.environment)
    models = models_of(settings, boot.environment)
    engines = build_picture_engines(boot)
    router: Router[PictureModel, PictureEngine] = Router(engines.drawing, engines.failures, random.SystemRandom())
    runs = JobRun(Catalog(models), router, queue, blobs)
    lanes = Lanes(router, models, engines.ready)
    worker = Worker(
        queue,
        news,
        runs,
        [lanes.of(engine) for engine in engines.drawing.values()],
        drain_timeout_s=settings.server.drain_timeout_s,
    )
    sender = Sender()
    webhooks = PgWebhooks(database, seal)
    teller = Teller(webhooks, sender, key=bytes.fromhex(boot.webhooks_key), image_url=_links(boot))
    background = [
        asyncio.create_task(news.listen(), name="news of jobs"),
        asyncio.create_task(sweep_jobs(queue, settings.jobs.max_wait_s), name="sweep jobs"),
        asyncio.create_task(deliver_webhooks(teller), name="webhooks"),
    ]
    return WorkerProcess(worker, engines, sender, database, background)


def _links(boot: WorkerBoot) -> Callable[[int], str | None]:
    """Return what makes links to pictures where no request says how callers find this server."""
    base, key = boot.settings.server.public_url, bytes.fromhex(boot.files_key)

    def link(job_id: int) -> str | None:
        return base and f"{base.rstrip('/')}{file_path(key, job_id, int(time.time()))}"

    return link
