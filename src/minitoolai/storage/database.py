"""Connections to PostgreSQL, and the fold of its failures into ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from minitoolai.core.errors import DatabaseUnavailable

#: Pooled connections of one process, for everything but the ledger's own lanes.
POOL_SIZE = 8
#: A server on the same machine or network answers a connect within milliseconds; beyond this it is away.
CONNECT_TIMEOUT_S = 3.0
#: No statement outside migrations and verification takes this long on a healthy server.
COMMAND_TIMEOUT_S = 10.0

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    # A password or a database that was changed under us: no caller's fault either.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # A server that was made a replica, or whose disk fails.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
)


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn a lost or refused connection into `DatabaseUnavailable`; let every other error through."""
    try:
        yield
    except asyncpg.DataError:
        raise  # a value that does not fit its column: asyncpg counts it among the errors of its interface
    except _AWAY as error:
        raise DatabaseUnavailable(retry_after_s=2) from error


async def connect(url: str, **settings: str) -> asyncpg.Connection[Any]:
    """Return a new connection with the given server settings. Raises `DatabaseUnavailable`."""
    with database_failures():
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings={"application_name": "minitoolai", "jit": "off", "timezone": "UTC", **settings},
        )


class Database:
    """A pool of connections, opened at the first use and again after an outage."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self.url = url
        self._pool_size = pool_size
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Lend a connection. Raises `DatabaseUnavailable` when the server cannot be reached or leaves midway."""
        with database_failures():
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Lend a connection inside a transaction that commits at the end of the block."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def close(self) -> None:
        """Close the pool; it may be used again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _open(self) -> asyncpg.Pool[Any]:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.url,
                    min_size=0,
                    max_size=self._pool_size,
                    timeout=CONNECT_TIMEOUT_S,
                    command_timeout=COMMAND_TIMEOUT_S,
                    server_settings={"application_name": "minitoolai", "jit": "off", "timezone": "UTC"},
                )
            return self._pool
