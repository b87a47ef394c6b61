"""The fetcher in a world of its own: what it brings, what it refuses, and where it never knocks."""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web

from minitoolai.core.errors import ImageTooLarge, InvalidImageUrl
from minitoolai.core.image_urls import MAX_IMAGE_BYTES
from minitoolai.integrations import fetcher as fetching
from minitoolai.integrations import reach as reaching
from minitoolai.integrations.fetcher import MAX_REDIRECTS, UNREACHABLE, Fetcher
from minitoolai.integrations.reach import system_lookup
from tests.support.websites import SITE, Handler, World, world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of Linux alone")
PARAM = "messages[0].content[1].image_url.url"
DATA = b"picture" * 1000


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[World]:
    """The world."""
    async with world(tmp_path) as made:
        made.handler = _picture
        yield made


@pytest.fixture
async def fetcher(outside: World) -> AsyncIterator[Fetcher]:
    """A fetcher that takes `SITE` for the Internet, and is right in all else."""
    made = Fetcher(outside.reach)
    yield made
    await made.close()


async def _picture(_: web.Request) -> web.StreamResponse:
    return web.Response(body=DATA, content_type="text/html")


async def refused(fetcher: Fetcher, url: str, why: str = UNREACHABLE) -> None:
    """Assert that a URL is refused in these words."""
    with pytest.raises(InvalidImageUrl) as caught:
        await fetcher.fetch(url, PARAM)
    assert (caught.value.param, caught.value.facts["why"]) == (PARAM, why)


async def test_a_picture_is_fetched(outside: World, fetcher: Fetcher) -> None:
    """Its bytes come as they are, whatever the server calls them; it is told nothing of ours."""
    assert await fetcher.fetch(outside.url("/a.png?size=2#part"), PARAM) == DATA
    (request,) = outside.asked
    assert request.path_qs == "/a.png?size=2"
    assert dict(request.headers) == {
        "Host": f"site.test:{outside.port}", "Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "MiniToolAI",
        "Connection": "close",
    }  # fmt: skip
    assert outside.names == ["site.test"]


@pytest.mark.parametrize(
    "url",
    [
        "http://site.test:{port}/",
        "ftp://site.test:{port}/",
        "https://user@site.test:{port}/",
        "https://user:secret@site.test:{port}/",
        "https://:secret@site.test:{port}/",
        "https://site.test:1/",
        "https://site.test:99999/",
        "https:///picture",
        "https://site.test\\@127.0.0.1:{port}/",
        "https://127.0.0.1:{port}/",
        "https://127.0.0.2:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://[::ffff:7f00:1]:{port}/",
        "https://[fe80::1%25eth0]:{port}/",
        "https://127.1:{port}/",
        "https://2130706433:{port}/",
        "https://0x7f000001:{port}/",
        "https://0x7f.0.0.1:{port}/",
        "https://127.0.0.0x1:{port}/",
        "https://0177.0.0.1:{port}/",
        "https://017700000001:{port}/",
        "https://127.0.0.1.:{port}/",
        "https://１２７.０.０.１:{port}/",
        "https://①②⑦.⓪.⓪.①:{port}/",
        "https://127。0。0。1:{port}/",
        "https://%31%32%37.0.0.1:{port}/",
        "https://a..b:{port}/",
        "https://{long}.test:{port}/",
    ],
)
async def test_hosts_that_are_no_names(outside: World, fetcher: Fetcher, url: str) -> None:
    """Addresses in any writing, users, ports and schemes of other kinds are refused before a look-up."""
    await refused(fetcher, url.format(port=outside.port, long="a" * 64))
    assert (outside.asked, outside.names, outside.knocks) == ([], [], 0)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        [SITE, "127.0.0.1"],
        ["127.0.0.1", SITE],
        [SITE, "::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["0.0.0.0"],
        ["::"],
        ["nonsense"],
        [],
    ],
)
async def test_names_that_lead_inside(outside: World, fetcher: Fetcher, addresses: list[str]) -> None:
    """One bad address among a name's is enough; nothing is connected to, the good ones neither."""
    outside.answers = [addresses]
    await refused(fetcher, outside.url())
    assert (outside.asked, outside.knocks) == ([], 0)


async def test_a_name_that_changes(outside: World, fetcher: Fetcher) -> None:
    """A name is looked up once for each fetch, and that answer is used: a second one leads nowhere."""
    outside.answers = [[SITE], ["127.0.0.1"]]
    assert await fetcher.fetch(outside.url(), PARAM) == DATA
    assert outside.names == ["site.test"]
    await refused(fetcher, outside.url())
    assert outside.knocks == 0


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:{port}/",
        "https://[::1]:{port}/",
        "https://2130706433:{port}/",
        "http://site.test:{port}/",
        "//127.0.0.1:{port}/",
        "//user@site.test:{port}/",
        "https://site.test:22/",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://[",
    ],
)
async def test_redirects_inside(outside: World, fetcher: Fetcher, location: str) -> None:
    """Each hop is checked like the first."""
    outside.handler = _redirecting(location.format(port=outside.port))
    await refused(fetcher, outside.url())
    assert (len(outside.asked), outside.knocks) == (1, 0)


async def test_a_redirect_whose_name_changes(outside: World, fetcher: Fetcher) -> None:
    """The same name is looked up anew at the next hop, and checked anew."""
    outside.answers = [[SITE], ["127.0.0.1"]]
    outside.handler = _redirecting("/again")
    await refused(fetcher, outside.url())
    assert (len(outside.asked), outside.knocks) == (1, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(outside: World, fetcher: Fetcher, status: int) -> None:
    """A few hops are usual, to other names as well."""

    async def hop(request: web.Request) -> web.StreamResponse:
        hops = len(outside.asked)
        if hops > MAX_REDIRECTS:
            return await _picture(request)
        return web.Response(status=status, headers={"location": outside.url(f"/{hops}", "other.test") if hops % 2 else "x"})

    outside.handler = hop
    assert await fetcher.fetch(outside.url(), PARAM) == DATA
    assert [request.path for request in outside.asked] == ["/picture", "/1", "/x", "/3"]


async def test_redirects_without_end(outside: World, fetcher: Fetcher) -> None:
    """They are given up."""
    outside.handler = _redirecting("/again")
    await refused(fetcher, outside.url(), f"it is redirected more than {MAX_REDIRECTS} times.")
    assert len(outside.asked) == MAX_REDIRECTS + 1


async def test_by_default_nothing_here_is_reached(outside: World) -> None:
    """Without a test's own idea of the Internet, loopback is not part of it."""
    fetcher = Fetcher(outside.by_default)
    await refused(fetcher, outside.url())
    await fetcher.close()
    await Fetcher().close()
    assert (outside.asked, outside.knocks) == ([], 0)


async def test_the_last_check(outside: World, fetcher: Fetcher) -> None:
    """Even if all before it let an address through, no socket is made for it."""
    with patch.object(reaching, "is_host_name", lambda host: True):
        await refused(fetcher, f"https://127.0.0.1:{outside.port}/")
        await refused(fetcher, f"https://[::1]:{outside.port}/")
    assert (outside.names, outside.knocks) == ([], 0)


async def test_certificates_are_checked(outside: World, fetcher: Fetcher) -> None:
    """A server that cannot prove its name is refused in the same words."""
    await refused(fetcher, outside.url(host="stranger.test"))
    assert outside.asked == []


async def test_replies_that_are_no_picture(outside: World, fetcher: Fetcher) -> None:
    """Any status but 200 is told, and so is compression."""
    outside.handler = _answering(status=403, body=DATA)
    await refused(fetcher, outside.url(), "its server answered with status 403.")
    outside.handler = _answering(status=302, body=DATA)
    await refused(fetcher, outside.url(), "its server answered with status 302.")
    outside.handler = _answering(body=gzip.compress(bytes(10**7)), headers={"content-encoding": "gzip"})
    await refused(fetcher, outside.url(), "its server sent it compressed, which was not asked for.")


async def test_too_many_bytes(outside: World, fetcher: Fetcher) -> None:
    """What says that it is too long is not read; what does not say is cut off at the limit."""
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        reply = web.StreamResponse()
        if request.path == "/honest":
            reply.content_length = MAX_IMAGE_BYTES + 1
        await reply.prepare(request)
        while sent < 10 * MAX_IMAGE_BYTES:
            await reply.write(bytes(1 << 20))
            sent += 1 << 20
        return reply

    outside.handler = endless
    for path in ("/honest", "/endless"):
        sent = 0
        with pytest.raises(ImageTooLarge, match="more than 20 MiB"):
            await fetcher.fetch(outside.url(path), PARAM)
        assert sent < 3 * MAX_IMAGE_BYTES, "the rest is what the system's buffers took"


async def test_a_server_that_stops(outside: World, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """One deadline holds for the whole fetch, look-up included; a broken connection is refused as well."""

    async def slow(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        reply.content_length = 100
        await reply.prepare(request)
        await reply.write(b"x")
        if request.path == "/break":
            assert request.transport is not None
            request.transport.close()
        await asyncio.sleep(30)
        return reply

    outside.handler = slow
    await refused(fetcher, outside.url("/break"))
    monkeypatch.setattr(fetching, "TOTAL_S", 0.3)
    began = time.monotonic()
    await refused(fetcher, outside.url("/slow"))
    assert time.monotonic() - began < 5


def test_the_systems_lookup() -> None:
    """It gives all addresses of a name."""
    assert set(system_lookup("localhost")) <= {"127.0.0.1", "::1"}


def _redirecting(location: str) -> Handler:
    return _answering(status=302, headers={"location": location})


def _answering(**options: Any) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**options)

    return answer
