"""A worker in the test's own process that speaks long texts by an engine in memory, over a gateway's own queue and files."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

from minitoolai.core.catalog import Catalog, SpeechModel
from minitoolai.core.jobs import JobKind
from minitoolai.services.job_run import JobRun
from minitoolai.services.lanes import Lanes
from minitoolai.services.routing import Router
from minitoolai.services.speech_maker import SpeechMaker
from minitoolai.services.speech_ports import SpeechEngine
from minitoolai.services.worker import Worker
from minitoolai.storage.database import Database
from minitoolai.storage.drafts import DraftFolder
from minitoolai.storage.job_news import PgJobNews
from minitoolai.storage.job_queue import PgJobQueue
from minitoolai.storage.seal import Seal
from tests.support.local_gateway import LocalGateway
from tests.support.speaking import FakeSpeaker


@contextlib.asynccontextmanager
async def speaking_worker(
    gateway: LocalGateway, models: Sequence[SpeechModel], engine: FakeSpeaker
) -> AsyncIterator[Worker]:
    """A worker with the keys of `local_gateway`, which speaks `models` by `engine`; it stops at the end."""
    engine.urgent = False
    database = Database(gateway.books.url, pool_size=2)
    queue, news = PgJobQueue(database, uuid4(), Seal(bytes(32))), PgJobNews(database)
    router = Router[SpeechModel, SpeechEngine]({engine.name: engine}, {}, random.Random(1))
    with tempfile.TemporaryDirectory() as folder:
        drafts = DraftFolder(Path(folder))
        maker = SpeechMaker(Catalog(models), router, drafts)
        runs = JobRun({JobKind.SPEECH: maker}, queue, gateway.inside.drawn.blobs)
        lanes = [Lanes(JobKind.SPEECH, router, models, {}).of(engine)]
        worker = Worker(queue, news, runs, lanes, drain_timeout_s=5)
        tasks = [asyncio.create_task(news.listen()), asyncio.create_task(worker.run())]
        try:
            yield worker
        finally:
            worker.stop()
            await asyncio.wait_for(tasks[1], 30)
            tasks[0].cancel()
            await asyncio.gather(tasks[0], return_exceptions=True)
            drafts.close()
            await database.close()
