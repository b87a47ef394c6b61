"""A whole gateway in the test's own process, for what only its inside can show."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.integrations.reach import PUBLIC, Reach
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.runtime.settings import JobsSettings, OpenAIEngineSettings, ServerSettings, Settings
from minitoolai.runtime.wiring import Gateway, build_gateway
from tests.support.books import Books
from tests.support.clients import Caller, until
from tests.support.listening import listening


class LocalGateway:
    """A gateway on this event loop, listening on a real port."""

    def __init__(self, inside: Gateway, base: str, database_url: str) -> None:
        self.inside = inside
        self.base = base
        self.books = Books(database_url)

    @property
    def port(self) -> int:
        return int(self.base.rsplit(":", 1)[1])

    async def caller(self, credit_usd: str = "5", **options: Any) -> Caller:
        """Return a caller with an account of its own."""
        return await self.books.caller(self.base, credit_usd, **options)

    async def settle(self) -> None:
        """Wait until every call has ended and the database took its settlement."""
        await until(lambda: not len(self.inside.calls) and not self.inside.ledger.unsettled, "all calls settled")


@contextlib.asynccontextmanager
async def local_gateway(
    database_url: str,
    upstream_url: str,
    *,
    engine: Mapping[str, Any] | None = None,
    engines: Mapping[str, OpenAIEngineSettings] | None = None,
    server: Mapping[str, Any] | None = None,
    jobs: Mapping[str, Any] | None = None,
    models: Mapping[str, ModelSettings] | None = None,
    environment: Mapping[str, str] | None = None,
    pictures_socket: str = "/nonexistent",
    sounds_socket: str = "/nonexistent",
    reach: Reach = PUBLIC,
) -> AsyncIterator[LocalGateway]:
    """A gateway that serves gpt-4o-mini and gpt-4o by the upstream; gpt-4.1 has no engine. `engines`: further ones."""
    served = {name: ModelSettings(engine="up") for name in ("gpt-4o-mini", "gpt-4o")}
    settings = Settings(
        server=ServerSettings(**(server or {})),
        jobs=JobsSettings(**(jobs or {})),
        engines={
            "up": OpenAIEngineSettings(base_url=upstream_url, **{"breaker_failures": 0, **(engine or {})}),
            **(engines or {}),
        },
        models={**served, **(models or {})},
    )
    boot = GatewayBoot(
        settings=settings,
        engines=dict(settings.engines),
        sockets={},
        pictures_socket=pictures_socket,
        sounds_socket=sounds_socket,
        environment=dict(environment or {}),
        database_url=database_url,
        replay_key=bytes(32).hex(),
        jobs_key=bytes(32).hex(),
        signature_key=bytes(32).hex(),
        files_key=bytes(32).hex(),
        webhooks_key=bytes(32).hex(),
        data_dir="/nonexistent",
        listen_fd=-1,
        state_file="/nonexistent",
        workers_file="/nonexistent",
    )
    with tempfile.TemporaryDirectory(prefix="mta-") as folder:
        inside = await build_gateway(msgspec.structs.replace(boot, data_dir=folder), reach)
        try:
            async with listening(inside.asgi) as base:
                yield LocalGateway(inside, base, database_url)
        finally:
            with contextlib.suppress(DatabaseUnavailable):  # a test may have taken it away for good
                await inside.close(5)
