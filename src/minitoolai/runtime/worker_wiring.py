"""The composition root of a worker process: everything is built here, and nowhere else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitoolai.api.file_links import FileLinks
from minitoolai.core.catalog import Catalog, Model, PictureModel, SpeechModel
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.core.jobs import JobKind
from minitoolai.integrations.webhooks import Sender
from minitoolai.runtime.boot import WorkerBoot
from minitoolai.runtime.catalogue import models_of
from minitoolai.runtime.job_engines import JobEngines, build_job_engines
from minitoolai.services.job_keeping import sweep_jobs
from minitoolai.services.job_ports import JobEngine
from minitoolai.services.job_run import JobRun
from minitoolai.services.lanes import Lane, Lanes
from minitoolai.services.metering import new_call_id
from minitoolai.services.picture_maker import PictureMaker
from minitoolai.services.picture_ports import PictureEngine
from minitoolai.services.routing import Router
from minitoolai.services.speech_maker import SpeechMaker
from minitoolai.services.speech_ports import SpeechEngine
from minitoolai.services.webhooks import Teller, deliver_webhooks
from minitoolai.services.worker import Worker
from minitoolai.storage.blobs import open_blobs
from minitoolai.storage.database import Database
from minitoolai.storage.drafts import DEFAULT_FOLDER, DraftFolder
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
    engines: JobEngines
    #: Of webhooks.
    sender: Sender
    drafts: DraftFolder
    database: Database
    _background: list[asyncio.Task[Any]]

    async def close(self) -> None:
        """Let go of everything."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.engines.close()
        await self.sender.close()
        self.drafts.close()
        await self.database.close()


def build_worker(boot: WorkerBoot) -> WorkerProcess:
    """Build a worker over a migrated database. Raises `ConfigInvalid` where files cannot be kept as the settings say."""
    settings = boot.settings
    database = Database(boot.database_url, pool_size=CONNECTIONS)
    seal = Seal(bytes.fromhex(boot.jobs_key))
    queue = PgJobQueue(database, new_call_id(), seal)
    news = PgJobNews(database)
    blobs = open_blobs(settings.storage.url, Path(boot.data_dir), boot.environment)
    models = models_of(settings, boot.environment, boot.engines)
    drafts = _drafts(boot)
    engines = build_job_engines(boot)
    chance = random.SystemRandom()
    drawing: Router[PictureModel, PictureEngine] = Router(engines.drawing, engines.failures, chance)
    speaking: Router[SpeechModel, SpeechEngine] = Router(engines.speaking, engines.failures, chance)
    catalog = Catalog(models)
    runs = JobRun(
        {
            JobKind.PICTURE: PictureMaker(catalog, drawing),
            JobKind.SPEECH: SpeechMaker(catalog, speaking, drafts),
        },
        queue,
        blobs,
    )
    pictures = [model for model in models if isinstance(model, PictureModel)]
    speech = [model for model in models if isinstance(model, SpeechModel)]
    lanes = [
        *_lanes(Lanes(JobKind.PICTURE, drawing, pictures, engines.ready), engines.drawing.values(), pictures),
        *_lanes(Lanes(JobKind.SPEECH, speaking, speech, engines.ready), engines.speaking.values(), speech),
    ]
    worker = Worker(queue, news, runs, lanes, drain_timeout_s=settings.server.drain_timeout_s)
    sender = Sender()
    webhooks = PgWebhooks(database, seal)
    links = FileLinks(bytes.fromhex(boot.files_key), settings.server.public_url)
    teller = Teller(webhooks, sender, key=bytes.fromhex(boot.webhooks_key), link=links.public)
    background = [
        asyncio.create_task(news.listen(), name="news of jobs"),
        asyncio.create_task(sweep_jobs(queue, settings.jobs.max_wait_s), name="sweep jobs"),
        asyncio.create_task(deliver_webhooks(teller), name="webhooks"),
    ]
    return WorkerProcess(worker, engines, sender, drafts, database, background)


def _lanes(lanes: Lanes, engines: Iterable[JobEngine], models: Sequence[Model]) -> Iterator[Lane]:
    """Return the lanes of those engines that some model names."""
    named = {route.engine for model in models for route in model.routes}
    return (lanes.of(engine) for engine in engines if engine.name in named)


def _drafts(boot: WorkerBoot) -> DraftFolder:
    folder = Path(boot.data_dir) / DEFAULT_FOLDER
    try:
        return DraftFolder(folder)
    except OSError as error:
        why = f"the folder {folder} cannot be used ({error.strerror}); let this user write it"
        raise ConfigInvalid(source="the data folder", why=why) from None
