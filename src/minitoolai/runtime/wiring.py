"""The composition root of a gateway process: everything is built here, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import Any

from minitoolai.api.account import add_account
from minitoolai.api.images import pictures_quoter
from minitoolai.api.ledger import add_ledger
from minitoolai.api.models import add_models
from minitoolai.api.openapi.document import add_openapi
from minitoolai.api.prices import add_prices
from minitoolai.api.quotes import add_quotes
from minitoolai.api.usage import add_usage
from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.edge.addresses import parse_networks
from minitoolai.edge.application import Application, Routes
from minitoolai.edge.cors import Asgi, Cors
from minitoolai.edge.health import add_health
from minitoolai.edge.metrics import add_metrics
from minitoolai.integrations.fetcher import Fetcher
from minitoolai.integrations.pictures import InlinedPictures
from minitoolai.integrations.reach import PUBLIC, Reach
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.catalogue import models_of
from minitoolai.runtime.engines import Engines, build_engines
from minitoolai.runtime.metrics_page import MetricsPage
from minitoolai.runtime.observation import Observation
from minitoolai.runtime.paid_parts import PaidParts
from minitoolai.runtime.picture_wiring import PictureRoom, picture_room
from minitoolai.runtime.readiness import Readiness
from minitoolai.runtime.speech_wiring import speech_room
from minitoolai.runtime.text_wiring import text_room
from minitoolai.runtime.transcription_wiring import transcription_room
from minitoolai.services.access import Access
from minitoolai.services.calls import OpenCalls
from minitoolai.services.leases import keep_lease
from minitoolai.services.metering import Metering, new_call_id
from minitoolai.services.routing import states_of
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.database import Database
from minitoolai.storage.key_book import PgKeyBook
from minitoolai.storage.keys import PgKeys
from minitoolai.storage.ledger import PgLedger
from minitoolai.storage.replays import PgReplays
from minitoolai.storage.seal import Seal
from minitoolai.storage.statement import PgStatement
from minitoolai.storage.usage import PgUsage

#: Where pages of any origin are answered: what stands for a key there is a signature.
OPEN_PATHS = ("/api/texttoimage/jobs/", "/api/texttospeech/jobs/", "/files/")
#: Long reports wait for each other here, and never take the connections by which keys are found.
REPORT_CONNECTIONS = 2


@dataclass
class Gateway:
    """What a gateway process holds."""

    application: Application
    #: What the server calls: the application, behind CORS where that is on.
    asgi: Asgi
    calls: OpenCalls
    ledger: PgLedger
    engines: Engines
    pictures: InlinedPictures
    drawn: PictureRoom
    databases: tuple[Database, ...]
    _observation: Observation
    _background: list[asyncio.Task[Any]]

    async def close(self, timeout_s: float) -> bool:
        """Settle what is open, at most `timeout_s`, and let go of everything; whether all was settled."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.engines.close()
        await self.pictures.close()
        settled, undone = await asyncio.gather(self.ledger.close(timeout_s), self.drawn.desk.close(timeout_s))
        for database in self.databases:
            await database.close()
        await self._observation.close()
        return settled and undone


async def build_gateway(boot: GatewayBoot, reach: Reach = PUBLIC) -> Gateway:
    """Build a gateway on a migrated database and begin its lease. Raises `DatabaseUnavailable`, `ConfigInvalid`.

    `reach`: what URLs of callers may lead to.
    """
    database = Database(boot.database_url)
    reports = Database(boot.database_url, pool_size=REPORT_CONNECTIONS)
    server = boot.settings.server
    seal = Seal(bytes.fromhex(boot.replay_key))
    ledger = PgLedger(
        database,
        new_call_id(),
        host=socket.gethostname(),
        pid=os.getpid(),
        seal=seal,
        requests_per_minute=server.requests_per_minute,
        tokens_per_minute=server.tokens_per_minute,
    )
    calls, metering, keys = OpenCalls(), Metering(ledger), PgKeys(database)
    catalog = Catalog(models_of(boot.settings, boot.environment, boot.engines))
    parts = PaidParts(Access(keys), catalog, build_engines(boot), metering, calls, PgReplays(database, seal))
    pictures = InlinedPictures(Fetcher(reach), boot.pictures_socket)
    texts = text_room(parts, pictures)
    drawn = picture_room(boot, database, catalog, calls)
    spoken = speech_room(parts, drawn.blobs, seal)
    written = transcription_room(parts, boot.sounds_socket)
    routers = (texts.chat_router, texts.embedding_router, spoken.router, written.router)
    observation = Observation(boot, ledger, metering, calls, lambda: states_of(*routers))

    routes, access, most = Routes(), parts.access, server.max_body_bytes
    proxies = parse_networks(server.trusted_proxies, "server.trusted_proxies")
    application = Application(routes, observation.observers, trusted_proxies=proxies)
    texts.add_routes(routes, access, max_body_bytes=most)
    add_models(routes, access, catalog)
    drawn.add_routes(routes, access, PgAccounts(database), max_body_bytes=most)
    spoken.add_routes(routes, access, drawn.speech, max_body_bytes=most)
    written.add_routes(routes, access)
    add_account(routes, access, PgAccounts(database), PgKeyBook(database))
    add_prices(routes, catalog)
    quoters = {**texts.quoters(), PictureModel: pictures_quoter(drawn.jobs), **spoken.quoters(), **written.quoters()}
    add_quotes(routes, access, catalog, quoters, max_body_bytes=most)
    add_usage(routes, access, PgUsage(reports))
    add_ledger(routes, access, PgStatement(reports))
    readiness = Readiness(database, boot)
    add_health(routes, application, readiness)
    token = boot.environment.get(server.metrics_token_env or "")
    add_metrics(routes, MetricsPage(observation.metrics, readiness, drawn.queue.depths), token)
    add_openapi(routes)

    await ledger.register()
    background = [
        asyncio.create_task(keep_lease(ledger, calls), name="lease"),
        asyncio.create_task(keys.listen(access.forget), name="changed keys"),
        asyncio.create_task(calls.watch(CallerLeft), name="open calls"),
        *drawn.watch(),
        spoken.watch(),
        observation.watch(),
    ]
    asgi = Cors(application, server.cors_origins, open_paths=OPEN_PATHS)
    databases = (database, reports)
    return Gateway(application, asgi, calls, ledger, parts.engines, pictures, drawn, databases, observation, background)
