"""The composition root of a gateway process: everything is built here, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from dataclasses import dataclass
from typing import Any

from minitoolai.api.account import add_account
from minitoolai.api.chat import add_chat
from minitoolai.api.embeddings import add_embeddings, embeddings_quoter
from minitoolai.api.images import pictures_quoter
from minitoolai.api.ledger import add_ledger
from minitoolai.api.messages.routes import add_messages
from minitoolai.api.models import add_models
from minitoolai.api.openapi.document import add_openapi
from minitoolai.api.prices import add_prices
from minitoolai.api.quotes import Quoter, add_quotes, chat_quoter
from minitoolai.api.responses.routes import add_responses
from minitoolai.api.usage import add_usage
from minitoolai.core.catalog import Catalog, ChatModel, EmbeddingModel, Model, PictureModel
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
from minitoolai.runtime.picture_wiring import PictureRoom, picture_room
from minitoolai.runtime.readiness import Readiness
from minitoolai.services.access import Access
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat import Chat
from minitoolai.services.embeddings import Embeddings
from minitoolai.services.leases import keep_lease
from minitoolai.services.metering import Metering, new_call_id
from minitoolai.services.ports import ChatEngine, EmbeddingEngine
from minitoolai.services.routing import Router, states_of
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
OPEN_PATHS = ("/api/texttoimage/jobs/", "/files/")
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
        settled, undone = await asyncio.gather(self.ledger.close(timeout_s), self.drawn.jobs.close(timeout_s))
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
    calls = OpenCalls()
    keys = PgKeys(database)
    access = Access(keys)
    catalog = Catalog(models_of(boot.settings, boot.environment))
    engines = build_engines(boot)
    chance = random.SystemRandom()
    chat_router: Router[ChatModel, ChatEngine] = Router(engines.chat, engines.failures, chance)
    embedding_router: Router[EmbeddingModel, EmbeddingEngine] = Router(engines.embedding, engines.failures, chance)
    pictures = InlinedPictures(Fetcher(reach), boot.pictures_socket)
    metering = Metering(ledger)
    observation = Observation(boot, ledger, metering, calls, lambda: states_of(chat_router, embedding_router))
    replays = PgReplays(database, seal)
    chat = Chat(catalog, chat_router, metering, calls, pictures, replays)
    embeddings = Embeddings(catalog, embedding_router, metering, calls, replays)
    drawn = picture_room(boot, database, catalog, calls)

    routes = Routes()
    proxies = parse_networks(server.trusted_proxies, "server.trusted_proxies")
    application = Application(routes, observation.observers, trusted_proxies=proxies)
    add_chat(routes, access, chat, max_body_bytes=boot.settings.server.max_body_bytes)
    add_messages(routes, access, chat, max_body_bytes=boot.settings.server.max_body_bytes)
    add_responses(routes, access, chat, max_body_bytes=boot.settings.server.max_body_bytes)
    add_embeddings(routes, access, embeddings, max_body_bytes=boot.settings.server.max_body_bytes)
    add_models(routes, access, catalog)
    drawn.add_routes(routes, access, PgAccounts(database), max_body_bytes=server.max_body_bytes)
    add_account(routes, access, PgAccounts(database), PgKeyBook(database))
    add_prices(routes, catalog)
    quoters: dict[type[Model], Quoter] = {
        ChatModel: chat_quoter(chat),
        EmbeddingModel: embeddings_quoter(embeddings),
        PictureModel: pictures_quoter(drawn.jobs),
    }
    add_quotes(routes, access, catalog, quoters, max_body_bytes=boot.settings.server.max_body_bytes)
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
        observation.watch(),
    ]
    asgi = Cors(application, server.cors_origins, open_paths=OPEN_PATHS)
    return Gateway(application, asgi, calls, ledger, engines, pictures, drawn, (database, reports), observation, background)
