"""Pages of other origins: preflights, headers on every kind of reply, and nothing without the setting."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from minitoolai.edge.cors import EXPOSED
from tests.api.conftest import Serving
from tests.house.documents import sources
from tests.support.clients import BODY, OPENAI, SEED, Caller, Reply
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "https://chat.example.com"
ALLOW = "access-control-allow-origin"
#: What a browser asks on behalf of OpenAI's and Anthropic's SDK.
WANTED = "authorization,content-type,x-stainless-os,x-stainless-retry-count,anthropic-version,x-api-key"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that answers pages of two origins."""
    from tests.support.local_gateway import local_gateway

    origins = (PAGE, "http://localhost:3000")
    async with local_gateway(file_database_url, file_upstream.url, server={"cors_origins": origins}) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def page(open_gateway: LocalGateway, upstream: Upstream) -> Caller:
    """A page with a key."""
    return await open_gateway.caller()


async def preflight(caller: Caller, path: str, origin: str = PAGE) -> Reply:
    """Ask as a browser does before a POST."""
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": WANTED}
    return await caller.send(path, method="OPTIONS", headers=asked)


@pytest.mark.parametrize("path", [SEED, OPENAI, "/v1/models/gpt-4o", "/v1/no/such"])
async def test_preflights_are_answered_for_every_path(page: Caller, path: str) -> None:
    """A listed origin is told what it may send, and that it may remember this."""
    reply = await preflight(page, path)
    assert reply.status == 204
    assert reply.body == b""
    assert reply.headers[ALLOW] == PAGE
    assert reply.headers["vary"] == "Origin"
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert set(WANTED.split(",")) <= set(reply.headers["access-control-allow-headers"].split(", "))
    assert {"idempotency-key", "x-max-cost"} <= set(reply.headers["access-control-allow-headers"].split(", "))
    assert int(reply.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in reply.headers


async def test_only_known_headers_are_allowed(page: Caller) -> None:
    """What a page wants to send beyond the known headers is not granted, nor sent back."""
    asked = {
        "origin": PAGE, "access-control-request-method": "POST",
        "access-control-request-headers": "cookie, x-other, anthropic-a b, x-stainless-<x>, x-stainless-os",
    }  # fmt: skip
    reply = await page.send(OPENAI, method="OPTIONS", headers=asked)
    granted = reply.headers["access-control-allow-headers"].split(", ")
    assert "x-stainless-os" in granted
    assert not {"cookie", "x-other", "anthropic-a b", "x-stainless-<x>"} & set(granted)


async def test_every_kind_of_reply_can_be_read(page: Caller) -> None:
    """Whole replies, streams, errors and refused paths carry the headers."""
    origin = {"origin": PAGE}
    replies = [
        await page.send(OPENAI, BODY, headers=origin),
        await page.send(SEED, BODY, headers=origin),
        await page.send(OPENAI, b"{", headers=origin),
        await page.send(OPENAI, BODY, headers={**origin, "authorization": "Bearer sk-no"}),
        await page.send("/v1/none", method="GET", headers=origin),
        await page.send(OPENAI, method="GET", headers=origin),
    ]
    assert [reply.status for reply in replies] == [200, 200, 400, 401, 404, 405]
    assert "event-stream" in replies[1].headers["content-type"]
    for reply in replies:
        assert reply.headers[ALLOW] == PAGE
        assert reply.headers["vary"] == "Origin"
        assert "x-request-id" in reply.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://chat.example.com.evil.example", "null", PAGE + "/"])
async def test_other_origins_are_told_nothing(page: Caller, origin: str) -> None:
    """The request is answered as ever, without a header that would let the page read it."""
    reply = await page.send(OPENAI, BODY, headers={"origin": origin})
    assert reply.status == 200
    assert ALLOW not in reply.headers
    assert reply.headers["vary"] == "Origin"
    refused = await preflight(page, OPENAI, origin)
    assert refused.status == 405
    assert ALLOW not in refused.headers


async def test_no_page_reads_the_metrics(page: Caller) -> None:
    """A page in the operator's own browser would be let in by its address."""
    reply = await page.send("/metrics", method="GET", headers={"origin": PAGE})
    assert reply.status == 200
    assert ALLOW not in reply.headers
    assert (await preflight(page, "/metrics/")).status == 405


async def test_any_origin(serving: Serving) -> None:
    """With "*" every page may ask, and caches need not tell them apart."""
    async with serving(server={"cors_origins": ("*",)}) as gateway:
        caller = await gateway.caller()
        reply = await caller.send(OPENAI, BODY, headers={"origin": "https://anywhere.example"})
        assert reply.headers[ALLOW] == "*"
        assert "vary" not in reply.headers
        assert (await preflight(caller, OPENAI)).headers[ALLOW] == "*"


async def test_nothing_without_the_setting(gateway: LocalGateway, caller: Caller) -> None:
    """As it comes no page of another origin is answered."""
    reply = await caller.send(OPENAI, BODY, headers={"origin": PAGE})
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control") or name == "vary"]
    assert (await preflight(caller, OPENAI)).status == 405


@pytest.mark.parametrize("path", ["/files/1234567890.png", "/api/texttoimage/jobs/"])
async def test_what_a_signature_opens_is_open_to_any_page(page: Caller, caller: Caller, path: str) -> None:
    """Without the setting, and with it; a refusal can be read too."""
    for asking in (caller, page):
        reply = await asking.send(path, method="GET", headers={"origin": "https://anywhere.example"})
        assert reply.status >= 400
        assert reply.headers[ALLOW] == "*"
        assert (await preflight(asking, path, "https://anywhere.example")).headers[ALLOW] == "*"


async def test_all_our_headers_can_be_read() -> None:
    """Every header of our own that the program sends is exposed."""
    sent = {
        name
        for path in sources().values()
        for name in re.findall(r"x-(?:minitoolai|ratelimit)-[a-z-]+[a-z]", path.read_text())
    }
    assert sent <= set(EXPOSED)
