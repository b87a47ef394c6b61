"""A desk for each test, on both databases: one database a module, emptied before each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.storage.desk import Desk
from tests.support.databases import PostgresForTests

_EMPTY = """TRUNCATE accounts, keys, processes, replays, holds, transfers, usage_records, credits, audit, facts,
    jobs, job_clocks, webhooks RESTART IDENTITY CASCADE"""


@pytest.fixture(params=["embedded", "system"], scope="module")
def shared_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database for the tests of one module: making one takes longer than most of them."""
    server: PostgresForTests = request.getfixturevalue(f"{request.param}_server")
    with server.database() as url:
        yield url


@pytest.fixture
async def desk(shared_url: str) -> AsyncIterator[Desk]:
    """A migrated database with nothing in it."""
    desk = Desk(shared_url)
    try:
        await desk.script(_EMPTY)
        yield desk
    finally:
        await desk.close()
