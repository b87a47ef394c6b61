"""The trail of what operators did: one row beside each change, in its transaction."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

_WRITE = "INSERT INTO audit (actor, action, subject, details) VALUES ($1, $2, $3, $4)"


async def write_audit(
    connection: asyncpg.Connection[Any], actor: str, action: str, subject: str, details: dict[str, Any]
) -> None:
    """Write a row inside the transaction of `connection`."""
    await connection.execute(_WRITE, actor, action, subject, json.dumps(details))
