"""Promise P11: no packet goes to a private address for a caller's URL, however it is written, named or redirected."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.core.errors import InvalidImageUrl
from minitoolai.integrations.fetcher import Fetcher
from minitoolai.integrations.webhooks import RECEIVERS, Sender
from tests.support.books import Books
from tests.support.clients import BODY, Caller, until
from tests.support.databases import PostgresForTests, open_folder
from tests.support.honeypots import Honeypot, honeypot
from tests.support.pictures import as_url, picture
from tests.support.servers import ProductServer, product_server
from tests.support.upstream import Upstream
from tests.support.websites import SITE, Handler, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: This machine by every name that needs no name server, and in every writing that some program takes for an address.
HOSTS = (
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.255.255.254", "0.0.0.0", "0", "2130706433", "0x7f000001", "0x7f.1",
    "0177.0.0.1", "0177.1", "017700000001", "00000177.0.0.1", "127.0.0.0x1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]", "[::1%25lo]", "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "%31%32%37.0.0.1",
    "localhost", "LOCALHOST", "localhost.", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ip6-localhost", "example.com@127.0.0.1",
    "example.com:443@127.0.0.1", "127.0.0.1\\@example.com", "127.0.0.1#@example.com", "127.0.0.1?@example.com",
)  # fmt: skip
REBOUND = "only Linux has 127.0.0.2"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream that fetches nothing itself."""
    async with Upstream() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pot() -> AsyncIterator[Honeypot]:
    """Where nobody should come."""
    async with honeypot() as made:
        yield made


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests, upstream: Upstream) -> Iterator[ProductServer]:
    """The product as it is, told to fetch pictures itself, with a worker."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.use_upstream(upstream.url, models=("gpt-4o-mini", "realvision"), more="fetches_images = false")
        product.start()
        yield product


@pytest_asyncio.fixture(loop_scope="module")
async def caller(server: ProductServer) -> Caller:
    """A program with money."""
    return await Books(server.environment["MINITOOLAI_DATABASE__URL"]).caller(server.base)


@pytest_asyncio.fixture(loop_scope="module")
async def outside(tmp_path: Path) -> AsyncIterator[World]:
    """A site that stands for the Internet, on the honeypot's port of another address."""
    async with world(tmp_path) as made:
        yield made


def with_picture(url: str) -> dict[str, Any]:
    """Return a call with a picture."""
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": url}}]
    return {**BODY, "messages": [{"role": "user", "content": parts}], "stream": False}


async def test_this_machine_in_every_writing(
    server: ProductServer, upstream: Upstream, caller: Caller, pot: Honeypot
) -> None:
    """Each is 400 in the same words, free, and neither the honeypot nor the upstream hears of it."""
    names = [*HOSTS, socket.gethostname()]
    ports = ["", *(f":{port}" for port in pot.ports)]
    urls = [f"https://{host}{port}/x.png" for host in names for port in ports]
    replies = await asyncio.gather(*(caller.send("/v1/chat/completions", with_picture(url)) for url in urls))
    for url, reply in zip(urls, replies, strict=True):
        assert (reply.status, reply.error["code"]) == (400, "invalid_image_url"), url
        assert reply.error["param"] == "messages[0].content[1].image_url.url"
    assert len({reply.error["message"] for reply in replies}) == 2, "refused as no URL, or as one that leads nowhere"
    assert (pot.knocks, upstream.asked) == (0, [])
    await until(lambda: _nothing_held(caller), "released holds")


async def _nothing_held(caller: Caller) -> bool:
    balance = (await caller.get("/v1/balance")).json
    assert balance["balance"] == "5"
    return bool(balance["held"] == "0")


async def test_webhooks_to_this_machine_in_every_writing(
    server: ProductServer, upstream: Upstream, caller: Caller, pot: Honeypot
) -> None:
    """What is no name is refused with the call; names that lead here are not knocked at when the job has ended."""
    ports = ["", *(f":{port}" for port in pot.ports)]
    hosts = [*HOSTS, socket.gethostname()]
    urls = [f"{scheme}://{host}{port}/told" for scheme in ("http", "https") for host in hosts for port in ports]
    asked = [{"model": "realvision", "prompt": "x", "width": 256, "height": 256, "webhook_url": url} for url in urls]
    replies = await asyncio.gather(*(caller.send("/api/texttoimage/", each) for each in asked))
    for url, reply in zip(urls, replies, strict=True):
        assert reply.status in (200, 400), (url, reply.text)
        assert reply.status == 200 or reply.error["param"] == "webhook_url", url
    taken = {urlsplit(url).hostname for url, reply in zip(urls, replies, strict=True) if reply.status == 200}
    assert taken == {"localhost", "localhost.", "ip6-localhost", socket.gethostname().lower()}
    jobs = [reply.json["jobid"] for reply in replies if reply.status == 200]

    def tried() -> bool:
        log = server.log.read_text()
        return all(f"attempt 1 at the webhook of job {job} failed: no answer" in log for job in jobs)

    await until(tried, "an attempt at each webhook", timeout_s=60)
    assert pot.knocks == 0
    assert len(upstream.asked) == len(jobs)


async def test_the_same_server_takes_pictures(upstream: Upstream, caller: Caller) -> None:
    """The refusals above are not those of a server that refuses all pictures: one inside the call is decoded and sent."""
    upstream.asked.clear()
    reply = await caller.send("/v1/chat/completions", with_picture(as_url(picture("GIF"), "gif")))
    assert reply.status == 200, reply.text
    (call,) = upstream.asked
    assert call.body["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.skipif(sys.platform != "linux", reason=REBOUND)
@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [SITE, "127.0.0.1"], ["127.0.0.1", SITE], [SITE, "::1"], [SITE, "::ffff:127.0.0.1"], ["0.0.0.0"]],
)
async def test_names_that_lead_here(outside: World, addresses: list[str]) -> None:
    """A name with one private address among public ones is refused whole."""
    outside.answers = [addresses]
    await _refused(outside)
    assert await _told(outside) is None
    assert (outside.asked, outside.knocks) == ([], 0)


@pytest.mark.skipif(sys.platform != "linux", reason=REBOUND)
async def test_names_that_change_their_mind(outside: World) -> None:
    """An address is checked and used in one: a name that answers otherwise the next time gains nothing by it."""
    outside.handler = _sending(body=picture())
    for answers in ([[SITE], ["127.0.0.1"]], [[SITE], ["::1"]]):
        outside.answers = list(answers)
        fetcher = Fetcher(outside.reach)
        assert await fetcher.fetch(outside.url(), "param") == picture()
        await fetcher.close()
        await _refused(outside)
        outside.answers = list(answers)
        assert await _told(outside) == 200
        assert await _told(outside) is None
    assert outside.knocks == 0


@pytest.mark.skipif(sys.platform != "linux", reason=REBOUND)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f000001", "127.1", "localhost", "site.test"])
async def test_redirects_that_lead_here(outside: World, host: str) -> None:
    """Every hop is checked like the first, the same name once more included."""
    outside.answers = [[SITE], ["127.0.0.1"]]
    outside.handler = _sending(status=302, headers={"location": f"https://{host}:{outside.port}/"})
    await _refused(outside)
    assert (len(outside.asked), outside.knocks) == (1, 0)
    outside.answers = [[SITE], ["127.0.0.1"]]
    assert await _told(outside) == 302, "it is not followed at all"
    assert (len(outside.asked), outside.knocks) == (2, 0)


async def _refused(outside: World) -> None:
    fetcher = Fetcher(outside.reach)
    with pytest.raises(InvalidImageUrl):
        await fetcher.fetch(outside.url(), "param")
    await fetcher.close()


async def _told(outside: World) -> int | None:
    """Return what a webhook at the site's URL answers; None: there was no way to it."""
    reach = replace(RECEIVERS, allowed=outside.reach.allowed, lookup=outside.lookup, tls=outside.reach.tls)
    sender = Sender(reach)
    status = await sender.post(outside.url(), {}, b"{}")
    await sender.close()
    return status


def _sending(**options: Any) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**options)

    return answer
