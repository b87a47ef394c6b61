"""Forward-only migrations, one SQL file each, run once under a lock.

A file says its phase in a `-- phase:` line: `before` is safe while the old program still runs, `after` needs that
every process runs the new one. `serve` applies both when it starts alone on its database; a rolling upgrade runs
`minitoolai migrate --phase before`, replaces the processes, then `--phase after`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import asyncpg

from minitoolai.core.inner_errors import SchemaTooNew
from minitoolai.storage.database import connect, database_failures

#: Session lock that migrating processes take in turn; any constant does.
_LOCK = 7302000
#: Months of partitions made ahead of need.
MONTHS_AHEAD = 3

Phase = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    phase: Phase
    sql: str


def migrations() -> list[Migration]:
    """Return all steps in order. Raises `ValueError` when a file is named or marked wrongly."""
    found = []
    for file in resources.files("minitoolai.storage").joinpath("migrations").iterdir():
        name = re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name)
        if name is None:
            continue
        sql = file.read_text(encoding="utf-8")
        phase = re.search(r"^-- phase: (before|after)$", sql, re.MULTILINE)
        if phase is None:
            raise ValueError(f"{file.name} has no '-- phase:' line")
        found.append(Migration(int(name[1]), name[2], "before" if phase[1] == "before" else "after", sql))
    return sorted(found, key=lambda step: step.number)


async def migrate(url: str, phases: Iterable[Phase] = ("before", "after")) -> list[Migration]:
    """Apply the steps of `phases` that are missing, and the coming months' partitions; return what was applied.

    A second starter waits here for the first. Raises `SchemaTooNew`, `DatabaseUnavailable`.
    """
    connection = await connect(url)
    try:
        with database_failures():
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=3600)
            applied = await _apply(connection, frozenset(phases))
            await connection.execute("SELECT make_partitions_v1($1)", MONTHS_AHEAD)
            return applied
    finally:
        connection.terminate()


async def _apply(connection: asyncpg.Connection[Any], phases: frozenset[Phase]) -> list[Migration]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations "
        "(number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
    steps = migrations()
    known = steps[-1].number
    if done and max(done) > known:
        raise SchemaTooNew(found=max(done), known=known)
    missing = [step for step in steps if step.number not in done and step.phase in phases]
    for step in missing:
        async with connection.transaction():
            await connection.execute(step.sql, timeout=3600)
            await connection.execute("INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", step.number, step.name)
    return missing


async def schema_version(url: str) -> int:
    """Return the number of the last step applied; 0 on an empty database."""
    connection = await connect(url)
    try:
        with database_failures():
            if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
                return 0
            return int(await connection.fetchval("SELECT coalesce(max(number), 0) FROM schema_migrations"))
    finally:
        connection.terminate()
