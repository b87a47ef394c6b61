"""What a gateway has of pictures and jobs, built for `wiring`: the jobs, links to what they made, the routes over them."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from minitoolai.api.account import Accounts
from minitoolai.api.file_links import FileLinks
from minitoolai.api.files import add_files
from minitoolai.api.images import Pictures, add_images
from minitoolai.api.job_routes import add_job_routes
from minitoolai.api.texttoimage import add_texttoimage
from minitoolai.api.webhooks import add_webhooks
from minitoolai.core.catalog import Catalog
from minitoolai.core.jobs import QueueLimits
from minitoolai.edge.application import Routes
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.settings import JobsSettings
from minitoolai.services.access import Access
from minitoolai.services.calls import OpenCalls
from minitoolai.services.drawing import Drawing
from minitoolai.services.job_keeping import forget_jobs, sweep_jobs
from minitoolai.services.job_ports import Blobs
from minitoolai.services.jobs import JobDesk
from minitoolai.services.metering import new_call_id
from minitoolai.services.picture_jobs import PictureJobs
from minitoolai.services.speech_jobs import SpeechJobs
from minitoolai.storage.blobs import open_blobs
from minitoolai.storage.database import Database
from minitoolai.storage.job_news import PgJobNews
from minitoolai.storage.job_queue import PgJobQueue
from minitoolai.storage.jobs import PgJobs
from minitoolai.storage.replays import PgReplays
from minitoolai.storage.seal import Seal

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class PictureRoom:
    """The parts."""

    stored: PgJobs
    #: To be listened to in the background.
    news: PgJobNews
    desk: JobDesk
    jobs: PictureJobs
    #: Of long texts.
    speech: SpeechJobs
    drawing: Drawing
    blobs: Blobs
    links: FileLinks
    files_key: bytes
    webhooks_key: bytes
    queue: PgJobQueue
    kept: JobsSettings

    def add_routes(self, routes: Routes, access: Access, accounts: Accounts, *, max_body_bytes: int) -> None:
        """Add the routes of pictures, jobs and files."""
        shown = Pictures(self.stored, self.blobs, self.links)
        add_texttoimage(routes, access, self.jobs, max_body_bytes=max_body_bytes)
        add_images(routes, access, self.jobs, self.drawing, shown, accounts, max_body_bytes=max_body_bytes)
        add_job_routes(routes, access, self.desk, self.links)
        add_files(routes, self.blobs, self.stored, self.files_key)
        add_webhooks(routes, access, self.webhooks_key)

    def watch(self) -> list[asyncio.Task[None]]:
        """Begin to hear of jobs, and to look after those that no worker does: holds end although none lives."""
        return [
            asyncio.create_task(self.news.listen(), name="news of jobs"),
            asyncio.create_task(sweep_jobs(self.queue, self.kept.max_wait_s), name="sweep jobs"),
            asyncio.create_task(forget_jobs(self.queue, self.blobs, self.kept.retention_days * _DAY_S), name="forget jobs"),
        ]


def picture_room(boot: GatewayBoot, database: Database, catalog: Catalog, calls: OpenCalls) -> PictureRoom:
    """Return the parts. Raises `ConfigInvalid` where files cannot be kept as the settings say."""
    server, limits = boot.settings.server, boot.settings.jobs
    replay_seal = Seal(bytes.fromhex(boot.replay_key))
    stored = PgJobs(
        database,
        seal=Seal(bytes.fromhex(boot.jobs_key)),
        replays=replay_seal,
        limits=QueueLimits(limits.max_waiting_per_account, limits.max_waiting),
        requests_per_minute=server.requests_per_minute,
        tokens_per_minute=server.tokens_per_minute,
    )
    news = PgJobNews(database)
    chance = random.SystemRandom()
    signature_key = bytes.fromhex(boot.signature_key)
    desk = JobDesk(stored, news, PgReplays(database, replay_seal), signature_key=signature_key, chance=chance)
    jobs = PictureJobs(catalog, desk, chance=chance)
    files_key = bytes.fromhex(boot.files_key)
    return PictureRoom(
        stored=stored,
        news=news,
        desk=desk,
        jobs=jobs,
        speech=SpeechJobs(catalog, desk),
        drawing=Drawing(jobs, calls),
        blobs=open_blobs(boot.settings.storage.url, Path(boot.data_dir), boot.environment),
        links=FileLinks(files_key, server.public_url),
        files_key=files_key,
        webhooks_key=bytes.fromhex(boot.webhooks_key),
        queue=PgJobQueue(database, new_call_id(), Seal(bytes.fromhex(boot.jobs_key))),
        kept=limits,
    )
