"""Messages to webhooks in a world of their own: what is sent, what counts as an answer, and where nobody knocks."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from minitoolai.integrations import webhooks as sending
from minitoolai.integrations.reach import Reach
from minitoolai.integrations.webhooks import RECEIVERS, Sender
from tests.support.clients import PATIENCE_S
from tests.support.websites import SITE, Handler, World, world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of Linux alone")
HEADERS = {"content-type": "application/json", "webhook-id": "job_1"}
BODY = b'{"jobid": 1}'


def reach_of(outside: World) -> Reach:
    """Return the product's own reach in this world."""
    return replace(RECEIVERS, allowed=outside.reach.allowed, lookup=outside.lookup, tls=outside.reach.tls)


@pytest.fixture(params=["https", "http"])
async def outside(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """The world."""
    async with world(tmp_path, request.param) as made:
        made.handler = _answering(status=204)
        yield made


@pytest.fixture
async def sender(outside: World) -> AsyncIterator[Sender]:
    """A sender that takes `SITE` for the Internet, and is right in all else."""
    made = Sender(reach_of(outside))
    yield made
    await made.close()


async def test_a_message(outside: World, sender: Sender) -> None:
    """It comes as it was signed, with nothing of ours but a name; any port will do."""
    came: list[bytes] = []

    async def take(request: web.Request) -> web.StreamResponse:
        came.append(await request.read())
        return web.Response(status=204)

    outside.handler = take
    assert await sender.post(outside.url("/told?job=1"), HEADERS, BODY) == 204
    (request,) = outside.asked
    assert (request.method, request.path_qs, came) == ("POST", "/told?job=1", [BODY])
    assert dict(request.headers) == {
        "Host": f"site.test:{outside.port}", "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "MiniToolAI",
        "Content-Type": "application/json", "webhook-id": "job_1", "Content-Length": str(len(BODY)), "Connection": "close",
    }  # fmt: skip


@pytest.mark.parametrize("status", [200, 202, 299, 400, 404, 410, 500, 503])
async def test_answers(outside: World, sender: Sender, status: int) -> None:
    """The status is told, whatever it is."""
    outside.handler = _answering(status=status, body=b"thanks")
    assert await sender.post(outside.url(), HEADERS, BODY) == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(outside: World, sender: Sender, status: int) -> None:
    """Neither to the same site nor to anywhere else: the message is for the URL that the caller named."""
    for location in ("/again", outside.url("/other", "other.test"), f"http://127.0.0.1:{outside.port}/"):
        outside.handler = _answering(status=status, headers={"location": location})
        assert await sender.post(outside.url(), HEADERS, BODY) == status
    assert (len(outside.asked), outside.knocks) == (3, 0)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://site.test:{port}/",
        "ws://site.test:{port}/",
        "https://user@site.test:{port}/",
        "http://:secret@site.test:{port}/",
        "http:///told",
        "http://site.test\\@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/",
        "https://127.0.0.1:{port}/",
        "http://127.0.0.2:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:7f00:1]:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.0.0.1:{port}/",
        "http://１２７.０.０.１:{port}/",
        "http://a..b:{port}/",
        "http://site.test:99999/",
        "http://[",
        "not a URL",
    ],
)
async def test_hosts_that_are_no_names(outside: World, sender: Sender, url: str) -> None:
    """What was stored before the rules, or past them, is refused before a look-up as well."""
    assert await sender.post(url.format(port=outside.port), HEADERS, BODY) is None
    assert (outside.asked, outside.names, outside.knocks) == ([], [], 0)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], [SITE, "127.0.0.1"], [SITE, "::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["nonsense"], []],
)
async def test_names_that_lead_inside(outside: World, sender: Sender, addresses: list[str]) -> None:
    """One bad address among a name's is enough."""
    outside.answers = [addresses]
    assert await sender.post(outside.url(), HEADERS, BODY) is None
    assert (outside.asked, outside.knocks) == ([], 0)


async def test_a_name_that_changes(outside: World, sender: Sender) -> None:
    """A name is looked up once for each attempt, and that answer is used."""
    outside.answers = [[SITE], ["127.0.0.1"]]
    assert await sender.post(outside.url(), HEADERS, BODY) == 204
    assert await sender.post(outside.url(), HEADERS, BODY) is None
    assert (len(outside.asked), outside.knocks) == (1, 0)


async def test_by_default_nothing_here_is_reached(outside: World) -> None:
    """As the product makes it, loopback is not part of the Internet."""
    sender = Sender(replace(RECEIVERS, lookup=outside.lookup))
    assert await sender.post(outside.url(), HEADERS, BODY) is None
    assert outside.names == ["site.test"]
    await sender.close()
    sender = Sender()
    assert await sender.post(outside.url(host="localhost"), HEADERS, BODY) is None
    await sender.close()
    assert (outside.asked, outside.knocks) == ([], 0)


async def test_receivers_that_do_not_answer(outside: World, sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that breaks off, is not there, or is slow got no message, as far as is known; it is let go."""
    left = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        if request.path == "/break":
            assert request.transport is not None
            request.transport.abort()
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            left.set()
        return web.Response()

    outside.handler = slow
    assert await sender.post(outside.url("/break"), HEADERS, BODY) is None
    assert await sender.post(f"http://site.test:{_closed_port()}/", HEADERS, BODY) is None
    left.clear()
    monkeypatch.setattr(sending, "SEND_S", 0.2)
    assert await sender.post(outside.url("/slow"), HEADERS, BODY) is None
    async with asyncio.timeout(PATIENCE_S):
        await left.wait()


async def test_answers_without_end(outside: World, sender: Sender) -> None:
    """The body of an answer is not waited for, and its connection is closed."""
    left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(status=200)
        await reply.prepare(request)
        try:
            while True:
                await reply.write(bytes(65536))
        finally:
            left.set()

    outside.handler = endless
    assert await sender.post(outside.url(), HEADERS, BODY) == 200
    async with asyncio.timeout(PATIENCE_S):
        await left.wait()


async def test_headers_without_end(outside: World, sender: Sender) -> None:
    """An answer whose headers have too many bytes is none."""
    outside.handler = _answering(status=200, headers={"x-long": "x" * 100_000})
    assert await sender.post(outside.url(), HEADERS, BODY) is None


def _answering(**options: Any) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**options)

    return answer


def _closed_port() -> int:
    """Return a port of `SITE` at which nobody listens."""
    with socket.create_server((SITE, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
