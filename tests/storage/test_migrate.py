"""The schema is made once, whoever starts first, and never backwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.inner_errors import SchemaTooNew
from minitoolai.storage import migrate as module
from minitoolai.storage.database import Database
from minitoolai.storage.migrate import MONTHS_AHEAD, Migration, migrate, migrations, schema_version
from tests.support.databases import PostgresForTests

KNOWN = migrations()[-1].number


@pytest.fixture(params=["embedded", "system"])
def empty_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with nothing in it."""
    server: PostgresForTests = request.getfixturevalue(f"{request.param}_server")
    with server.empty_database() as url:
        yield url


async def rows(url: str, query: str) -> list[asyncpg.Record]:
    """Run one statement."""
    database = Database(url)
    try:
        async with database.connection() as connection:
            found: list[asyncpg.Record] = await connection.fetch(query)
            return found
    finally:
        await database.close()


async def test_a_fresh_database_twice_and_two_at_once(empty_url: str) -> None:
    """One of two starters applies the steps, the other finds them done; so does a later one."""
    assert await schema_version(empty_url) == 0
    applied = await asyncio.gather(migrate(empty_url), migrate(empty_url))
    assert sorted(map(len, applied)) == [0, len(migrations())]
    assert await migrate(empty_url) == []
    assert await schema_version(empty_url) == KNOWN
    partitions = await rows(empty_url, "SELECT inhparent::regclass::text AS parent FROM pg_inherits "
                                       "JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind = 'r'")  # fmt: skip
    assert [row["parent"] for row in partitions].count("transfers") == MONTHS_AHEAD + 1
    assert [row["parent"] for row in partitions].count("usage_records") == MONTHS_AHEAD + 1


async def test_a_newer_schema_is_refused(empty_url: str) -> None:
    """Data is never migrated backwards."""
    await migrate(empty_url)
    await rows(empty_url, f"INSERT INTO schema_migrations (number, name) VALUES ({KNOWN + 1}, 'future')")
    with pytest.raises(SchemaTooNew) as caught:
        await migrate(empty_url)
    assert caught.value.facts == {"found": KNOWN + 1, "known": KNOWN}


async def test_a_rolling_upgrade_takes_its_phases_in_turn(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: what the old program bears. After: the rest. A step that fails leaves nothing behind."""
    extra = [
        Migration(KNOWN + 1, "shrink", "after", "CREATE TABLE after_step (n integer)"),
        Migration(KNOWN + 2, "grow", "before", "CREATE TABLE before_step (n integer)"),
    ]
    known = migrations()
    monkeypatch.setattr(module, "migrations", lambda: [*known, *extra])
    assert [step.name for step in await migrate(empty_url, ["before"])] == [step.name for step in known] + ["grow"]
    tables = "SELECT tablename FROM pg_tables WHERE tablename IN ('after_step', 'before_step')"
    assert [row["tablename"] for row in await rows(empty_url, tables)] == ["before_step"]
    assert [step.name for step in await migrate(empty_url, ["after"])] == ["shrink"]
    assert len(await rows(empty_url, tables)) == 2
    extra.append(Migration(KNOWN + 3, "wrong", "before", "CREATE TABLE half (n integer); SELECT 1 / 0"))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_url)
    assert await schema_version(empty_url) == KNOWN + 2
    assert await rows(empty_url, "SELECT 1 FROM pg_tables WHERE tablename = 'half'") == []


def test_the_files_are_numbered_without_gaps() -> None:
    """From 1 on, each with its phase."""
    assert [step.number for step in migrations()] == list(range(1, KNOWN + 1))
    assert {step.phase for step in migrations()} <= {"before", "after"}


async def test_a_server_that_is_away() -> None:
    """Said by name."""
    with pytest.raises(DatabaseUnavailable):
        await migrate("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable):
        await schema_version("postgresql://nobody@127.0.0.1:1/none")


def test_a_file_without_its_phase_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is no step is passed over."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "README.md").write_text("not a step")
    (folder / "0001_first.sql").write_text("-- phase: after\nSELECT 1;")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    assert [(step.number, step.name, step.phase) for step in migrations()] == [(1, "first", "after")]
    (folder / "0002_second.sql").write_text("SELECT 1;")
    with pytest.raises(ValueError, match=r"0002_second\.sql has no '-- phase:' line"):
        migrations()
