"""Pictures that another server draws, through the product as it runs: its worker asks, the caller pays our price."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from minitoolai.core.money import format_usd, parse_usd
from tests.support.books import Books
from tests.support.clients import Caller
from tests.support.databases import PostgresForTests, open_folder
from tests.support.faithful_images import FORBIDDEN, IMAGE_MODELS
from tests.support.faithful_upstream import KEY, FaithfulUpstream
from tests.support.pictures import opened
from tests.support.servers import ProductServer, product_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = """
[engines.openai]
kind = "openai"
base_url = "{url}"
api_key_env = "UPSTREAM_KEY"
parallel_images = 4

[models."gpt-image-1"]
kind = "image"
engine = "openai"
usd_per_image = "0.05"
sizes = ["1024x1024", "1536x1024", "1024x1536"]
"""
PRICE = parse_usd("0.05")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def openai() -> AsyncIterator[FaithfulUpstream]:
    """The other server."""
    async with FaithfulUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def product(embedded_server: PostgresForTests, openai: FaithfulUpstream) -> Iterator[ProductServer]:
    """The product, whose one model is drawn there."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as server:
        server.configure(SETTINGS.format(url=openai.url))
        server.environment["UPSTREAM_KEY"] = KEY
        server.start()
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(product: ProductServer) -> Caller:
    """A program with 5 USD."""
    return await Books(product.environment["MINITOOLAI_DATABASE__URL"]).caller(product.base)


async def balance(caller: Caller) -> str:
    """Return what is on the caller's account, nothing being held."""
    shown = (await caller.get("/v1/balance")).json
    assert shown["held"] == "0"
    return str(shown["balance"])


async def test_pictures(openai: FaithfulUpstream, caller: Caller) -> None:
    """Each is asked for by itself, comes in the size that was asked, and costs what we say."""
    openai.calls.clear()
    asked = {"model": "gpt-image-1", "prompt": "a red circle", "n": 2, "size": "1536x1024", "response_format": "b64_json"}
    reply = await caller.send("/v1/images/generations", asked)
    assert reply.status == 200, reply.text
    assert [opened(b64decode(each["b64_json"])).size for each in reply.json["data"]] == [(1536, 1024)] * 2
    sent = {"model": "gpt-image-1", "prompt": "a red circle", "n": 1, "size": "1536x1024"}
    assert [call.body for call in openai.calls] == [sent, sent]
    assert await balance(caller) == format_usd(parse_usd("5") - 2 * PRICE)


async def test_refusals(openai: FaithfulUpstream, caller: Caller) -> None:
    """A size that it does not draw is refused before it is asked; what its safety system refuses fails the job at once.
    Both are free."""
    openai.calls.clear()
    before = await balance(caller)
    asked = {"model": "gpt-image-1", "prompt": "a red circle", "width": 512, "height": 512}
    reply = await caller.send("/api/texttoimage/", asked)
    assert (reply.status, reply.error["param"], openai.calls) == (400, "width", [])
    made = await caller.send("/api/texttoimage/", {"model": "gpt-image-1", "prompt": FORBIDDEN})
    assert made.status == 200, made.text
    job = {"jobid": made.json["jobid"], "signature": made.json["signature"], "wait": 30}
    told = (await caller.send("/api/texttoimage/jobs/", job)).json
    assert (told["status"], told["image_url"]) == ("error", None)
    assert "does not accept this request" in told["message"]
    assert len(openai.calls) == 1
    assert await balance(caller) == before


async def test_the_price_is_shown(caller: Caller) -> None:
    """The model stands in the list of prices with it, and OpenAI's sizes are those of the settings."""
    prices = {each["id"]: each for each in (await caller.get("/v1/prices")).json["data"]}
    assert prices["gpt-image-1"]["usd_per_image"] == "0.05"
    assert all(f'"{size}"' in SETTINGS for size in IMAGE_MODELS["gpt-image-1"])
