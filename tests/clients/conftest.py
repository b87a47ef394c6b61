"""One server for all client programs, before a faithful upstream; each test comes with an account of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.books import Books
from tests.support.client_programs import ClientProgram, client_command, client_environment, client_program
from tests.support.clients import Caller, until
from tests.support.databases import PostgresForTests, open_folder
from tests.support.faithful_upstream import KEY, Call, FaithfulUpstream, faithful_upstream
from tests.support.servers import ProductServer, product_server

#: Nano-dollars per token of prompt and of completion: the seed's prices, and those set below.
PRICES_NUSD = {"gpt-4o-mini": (150, 600), "gpt-4o": (2500, 10_000), "gpt-4.1": (2000, 8000), "o4-mini": (1100, 4400),
               "text-embedding-3-small": (20, 0)}  # fmt: skip
CREDIT_NUSD = 5 * 10**9
_SETTINGS = """
[engines.up]
kind = "openai"
base_url = "{url}"
api_key_env = "UPSTREAM_KEY"
breaker_failures = 0

[models."gpt-4o-mini"]
engine = "up"
[models."gpt-4o"]
engine = "up"
[models."gpt-4.1"]
engine = "up"
[models."text-embedding-3-small"]
engine = "up"
[models."tts-1"]
engine = "up"
[models."whisper-1"]
engine = "up"
[models."gpt-4o-transcribe"]
engine = "up"
[models."gpt-image-1"]
kind = "image"
engine = "up"
usd_per_image = "0.04"
sizes = ["1024x1024", "1536x1024", "1024x1536"]
[models."o4-mini"]
engine = "up"
input_usd_per_1m = "1.10"
output_usd_per_1m = "4.40"
"""


@dataclass(frozen=True)
class Visit:
    """One test's account at the server, and what the upstream saw of it."""

    caller: Caller
    upstream: FaithfulUpstream
    books: Books

    @property
    def key(self) -> str:
        """The caller's key."""
        return self.caller.key

    @property
    def calls(self) -> list[Call]:
        """What came to the upstream."""
        return self.upstream.calls

    def broke(self) -> Caller:
        """Return another caller, whose account is empty."""
        return asyncio.run(self.books.caller(self.caller.base, "0"))

    def spent_nusd(self) -> int:
        """Return what was charged, once nothing is held."""
        asyncio.run(until(self._nothing_held, "settled holds"))
        return CREDIT_NUSD - asyncio.run(self.books.balance(self.caller))

    def billed_nusd(self) -> int:
        """Return what the upstream's bills cost by our prices."""
        found = 0
        for call in self.calls:
            if call.billed:
                prompt, completion = PRICES_NUSD[call.body["model"]]
                found += call.billed["prompt_tokens"] * prompt + call.billed.get("completion_tokens", 0) * completion
        return found

    def settles(self) -> int:
        """The account has paid exactly what the upstream bills; return that."""
        spent = self.spent_nusd()
        assert spent == self.billed_nusd()
        return spent

    async def _nothing_held(self) -> bool:
        query = "SELECT held FROM accounts WHERE id = $1"
        return bool((await self.books.fetch(query, self.caller.account_id))[0]["held"] == 0)


@pytest.fixture(scope="session")
def one_upstream() -> Iterator[FaithfulUpstream]:
    """The upstream of all tests here."""
    with faithful_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def clients_server(embedded_server: PostgresForTests, one_upstream: FaithfulUpstream) -> Iterator[ProductServer]:
    """The product, its models served by the upstream."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.configure(_SETTINGS.format(url=one_upstream.url))
        product.environment["UPSTREAM_KEY"] = KEY
        product.start()
        yield product


@pytest.fixture(scope="session")
def client_folder() -> Iterator[Path]:
    """The programs' home: empty at first."""
    with open_folder() as folder:
        home = folder / "home"
        home.mkdir()
        yield home
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def variables(clients_server: ProductServer, client_folder: Path) -> dict[str, str]:
    """What a client program is told by its environment."""
    return client_environment(client_folder, SERVER=clients_server.base)


@pytest.fixture(scope="session")
def openai_python(variables: dict[str, str], client_folder: Path) -> Iterator[ClientProgram]:
    """OpenAI's package for Python, one process for all its tests."""
    command = [client_command("python"), "-m", "tests.clients.programs.openai_python"]
    with client_program(command, client_folder, variables) as running:
        yield running


@pytest.fixture
def visit(clients_server: ProductServer, one_upstream: FaithfulUpstream) -> Visit:
    """A new account with 5 USD; the upstream has seen nothing and fails nobody."""
    one_upstream.calm()
    books = Books(clients_server.environment["MINITOOLAI_DATABASE__URL"])
    return Visit(asyncio.run(books.caller(clients_server.base)), one_upstream, books)
