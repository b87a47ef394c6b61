"""What `/readyz` says: the database, and each engine and worker as far as this machine knows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.storage.database import Database

#: A database that takes longer to answer nothing is not ready.
_PATIENCE_S = 2.0


class Readiness:
    """Asked by balancers every few seconds."""

    def __init__(self, database: Database, boot: GatewayBoot) -> None:
        self._database = database
        self._boot = boot

    async def __call__(self) -> dict[str, Any]:
        """Return `{"ready", "database", "engines", "workers"}`; an engine or worker that loads does not make the server
        unready."""
        database = "ok"
        try:
            async with asyncio.timeout(_PATIENCE_S), self._database.connection() as connection:
                await connection.execute("SELECT 1")
        except (DatabaseUnavailable, TimeoutError):
            database = "unavailable"
        workers = _noted(self._boot.workers_file)
        return {"ready": database == "ok", "database": database, "engines": self._engines(), "workers": workers}

    def _engines(self) -> dict[str, Any]:
        children = _noted(self._boot.state_file)
        return {
            name: children.get(name, {"state": "starting" if name in self._boot.sockets else "configured"})
            for name in self._boot.engines
        }


def _noted(file: str) -> dict[str, Any]:
    """Return what the supervisor noted in a file; {} where it noted nothing."""
    try:
        noted: dict[str, Any] = json.loads(Path(file).read_text())
    except (OSError, ValueError):
        return {}
    return noted
