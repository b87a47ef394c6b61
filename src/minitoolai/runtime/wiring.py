"""The composition root of a gateway process: everything is built here, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from dataclasses import dataclass
from typing import Any

import msgspec

from minitoolai.api.account import add_account
from minitoolai.api.chat import add_chat
from minitoolai.api.models import add_models
from minitoolai.core.catalog import Catalog
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.edge.application import Application, Routes
from minitoolai.edge.health import add_health
from minitoolai.engines.llama import LlamaChat
from minitoolai.engines.openai_chat import OpenAIChat, OpenAIChatSettings
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.catalogue import STARTER, models_of
from minitoolai.runtime.readiness import Readiness
from minitoolai.runtime.settings import LlamaEngineSettings
from minitoolai.services.access import Access
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat import Chat
from minitoolai.services.leases import keep_lease
from minitoolai.services.metering import Metering, new_call_id
from minitoolai.services.ports import ChatEngine
from minitoolai.services.routing import Router
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.database import Database
from minitoolai.storage.keys import PgKeys
from minitoolai.storage.ledger import PgLedger
from minitoolai.storage.replays import PgReplays
from minitoolai.storage.seal import Seal

#: Settings of an engine that are read here.
_NOT_THE_ENGINES = frozenset({"api_key_env", "breaker_failures"})


@dataclass
class Gateway:
    """What a gateway process holds."""

    application: Application
    calls: OpenCalls
    ledger: PgLedger
    engines: dict[str, OpenAIChat | LlamaChat]
    database: Database
    _background: list[asyncio.Task[Any]]

    async def close(self, timeout_s: float) -> bool:
        """Settle what is open, at most `timeout_s`, and let go of everything; whether all was settled."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for engine in self.engines.values():
            await engine.close()
        settled = await self.ledger.close(timeout_s)
        await self.database.close()
        return settled


async def build_gateway(boot: GatewayBoot) -> Gateway:
    """Build a gateway on a migrated database and begin its lease. Raises `DatabaseUnavailable`, `ConfigInvalid`."""
    database = Database(boot.database_url)
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
    engines = {name: _engine(name, boot) for name in boot.engines}
    chat_engines: dict[str, ChatEngine] = dict(engines)
    router = Router(chat_engines, {name: _breaker_failures(boot, name) for name in engines}, random.SystemRandom())
    chat = Chat(catalog, router, Metering(ledger), calls, None, PgReplays(database, seal))

    routes = Routes()
    application = Application(routes)
    add_chat(routes, access, chat, max_body_bytes=boot.settings.server.max_body_bytes)
    add_models(routes, access, catalog)
    add_account(routes, access, PgAccounts(database))
    add_health(routes, application, Readiness(database, boot))

    await ledger.register()
    background = [
        asyncio.create_task(keep_lease(ledger, calls), name="lease"),
        asyncio.create_task(keys.listen(access.forget), name="changed keys"),
        asyncio.create_task(calls.watch(CallerLeft), name="open calls"),
    ]
    return Gateway(application, calls, ledger, engines, database, background)


def _breaker_failures(boot: GatewayBoot, name: str) -> int:
    """Return after how many failures an engine is left alone; our own children are restarted instead."""
    settings = boot.engines[name]
    return 0 if isinstance(settings, LlamaEngineSettings) else settings.breaker_failures


def _engine(name: str, boot: GatewayBoot) -> OpenAIChat | LlamaChat:
    """Return the engine called `name`: an upstream, or a child of ours behind its Unix socket."""
    settings = boot.engines[name]
    if isinstance(settings, LlamaEngineSettings):
        return LlamaChat(
            name,
            boot.sockets[name],
            first_byte_s=settings.first_byte_s,
            total_s=settings.total_s,
            deterministic=name == STARTER,
        )
    chosen = {key: value for key, value in msgspec.structs.asdict(settings).items() if key not in _NOT_THE_ENGINES}
    return OpenAIChat(name, OpenAIChatSettings(**chosen, api_key=boot.environment.get(settings.api_key_env or "")))
