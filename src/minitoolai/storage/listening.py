"""Hearing what the database tells at once (LISTEN), across lost connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.storage.database import connect, database_failures

#: Pause before listening again after the connection was lost.
_RELISTEN_S = 1.0
#: How often the listening connection is tried.
_PROBE_S = 5.0

log = logging.getLogger(__name__)


async def listen(url: str, channel: str, heard: Callable[[str | None], None]) -> None:
    """Call `heard` with every message on `channel`, and with None after every gap in listening; for ever."""
    while True:
        try:
            await _listen_once(url, channel, heard)
        except DatabaseUnavailable:
            pass
        except asyncpg.PostgresError:
            log.exception("listening to %s failed", channel)
        heard(None)
        await asyncio.sleep(_RELISTEN_S)


async def _listen_once(url: str, channel: str, heard: Callable[[str | None], None]) -> None:
    connection: asyncpg.Connection[Any] = await connect(url)
    try:
        with database_failures():
            await connection.add_listener(channel, lambda _connection, _pid, _channel, message: heard(str(message)))
            heard(None)
            while True:
                await asyncio.sleep(_PROBE_S)
                await connection.execute("SELECT 1")
    finally:
        connection.terminate()
