"""A gateway on the test's own loop, before an upstream that does as it is told: one of each for all tests of a file.

Such a file runs on one loop: `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import pytest_asyncio

from tests.support.clients import Caller
from tests.support.databases import PostgresForTests
from tests.support.fake_worker import FakeWorker, fake_worker
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import WORDS, Upstream

Serving = Callable[..., AbstractAsyncContextManager[LocalGateway]]


@pytest.fixture(scope="module")
def file_database_url(embedded_server: PostgresForTests) -> Iterator[str]:
    """A migrated database for the tests of one file: each makes accounts of its own."""
    with embedded_server.database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_upstream() -> AsyncIterator[Upstream]:
    """The upstream of all tests of a file."""
    async with Upstream() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway as it is without settings; a test that changes it puts it right again."""
    async with local_gateway(file_database_url, file_upstream.url) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def upstream(file_upstream: Upstream) -> Upstream:
    """The upstream as it is at first: it answers as OpenAI would, and was not asked yet."""
    file_upstream.asked.clear()
    file_upstream.handler = file_upstream.answer
    file_upstream.pause_s = 0.0
    file_upstream.words = WORDS
    return file_upstream


@pytest_asyncio.fixture(loop_scope="module")
async def caller(gateway: LocalGateway, upstream: Upstream) -> Caller:
    """A program with 5 USD."""
    return await gateway.caller()


@pytest_asyncio.fixture(loop_scope="module")
async def worker(gateway: LocalGateway) -> AsyncIterator[FakeWorker]:
    """A worker that draws at once."""
    async with fake_worker(gateway) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def waiting(gateway: LocalGateway) -> AsyncIterator[FakeWorker]:
    """A worker that waits until it is told to go; what is left at the end is failed."""
    async with fake_worker(gateway, waits=True) as started:
        yield started


@pytest.fixture
def serving(file_database_url: str, upstream: Upstream) -> Serving:
    """Starts a gateway with settings of one's own: `async with serving(engine={…}) as gateway`."""

    def start(**options: Any) -> AbstractAsyncContextManager[LocalGateway]:
        return local_gateway(file_database_url, options.pop("upstream_url", upstream.url), **options)

    return start
