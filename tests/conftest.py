"""Fixtures that all tests share: databases, servers, upstreams, and the `--long` option."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.databases import PostgresForTests, embedded_postgres, open_folder, system_postgres
from tests.support.seeds import seed_of_run
from tests.support.servers import ProductServer, product_server
from tests.support.upstream import Upstream


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the house's options."""
    parser.addoption("--long", action="store_true", help="run the long forms of the promises as well")
    parser.addoption("--seed", type=int, help="repeat the random tests of an earlier run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long runs out unless they are asked for."""
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="a long run: pass --long")
        for item in items:
            if "long" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run's random tests, printed when a test fails (promise P12)."""
    return seed_of_run(request.config.getoption("--seed"))


@pytest.fixture(autouse=True)
def _print_seed(request: pytest.FixtureRequest) -> None:
    """Say the seed in the output of each test that uses it."""
    if "seed" in request.fixturenames:
        print(f"random seed: {request.getfixturevalue('seed')} (repeat with --seed)")


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[PostgresForTests]:
    """The embedded PostgreSQL, one for all tests of a run."""
    with open_folder() as folder, embedded_postgres(folder) as server:
        yield server


@pytest.fixture(scope="session")
def system_server() -> Iterator[PostgresForTests]:
    """Debian's PostgreSQL, one for all tests of a run; skipped where it is not installed."""
    with system_postgres() as server:
        yield server


@pytest.fixture
def database_url(embedded_server: PostgresForTests) -> Iterator[str]:
    """A migrated database of its own on the embedded server."""
    with embedded_server.database() as url:
        yield url


@pytest.fixture(params=["embedded", "system"])
def either_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of its own, on the embedded server and on the system's."""
    server: PostgresForTests = request.getfixturevalue(f"{request.param}_server")
    with server.database() as url:
        yield url


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A server that speaks OpenAI's chat completions and does as it is told."""
    async with Upstream() as server:
        yield server


@pytest.fixture
def product(tmp_path: Path, database_url: str) -> Iterator[ProductServer]:
    """`minitoolai serve` as a real process, not started yet: give it its upstream, then `start()`."""
    with product_server(tmp_path, database_url) as server:
        yield server


@pytest.fixture
def whole_product() -> Iterator[ProductServer]:
    """`minitoolai serve` with its own embedded database, not started yet."""
    with open_folder() as folder, product_server(folder, None) as server:
        yield server
