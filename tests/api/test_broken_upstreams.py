"""Upstreams that break: what the caller sees, and what the call costs (contract §2 and §7)."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt
from tests.support.clients import BODY, Caller, ends_in_band
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, chunk, completion, error_beside_choices, frame, usage, usage_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL_NUSD = 5 * 10**9
MINI = TokenPrices(150_000_000, 600_000_000)
PROMPT_TOKENS = count_prompt(BODY)
DONE = b"data: [DONE]\n\n"
START = [chunk({"role": "assistant", "content": ""}), chunk({"content": "The"}), chunk({"content": " largest"})]
STARTED_NUSD = MINI.cost_nusd(PROMPT_TOKENS, 2)
END = [chunk({}, finish_reason="stop"), usage_frame(usage(17, 2))]


def frames(upstream: Upstream, *sent: bytes, pause_s: float = 0.05) -> None:
    """Let the upstream send these bytes, in pieces of their own, and end."""

    async def send(request: web.Request, asked: Asked) -> web.StreamResponse:
        upstream.pause_s = pause_s
        return await upstream.stream(request, asked, list(sent))

    upstream.handler = send


BREAKS = {
    "ends without DONE": [*START],
    "ends after its usage without DONE": [*START, *END],
    "an error event": [*START, frame({"error": {"message": "canary", "type": "server_error", "code": 500}})],
    "an error event of text": [*START, frame({"error": "canary"})],
    "an error event, then more": [*START, frame({"error": {"message": "canary"}}), chunk({"content": "x"}), DONE],
    "an error beside choices": [*START, error_beside_choices()],
    "garbage": [*START, b"data: <html>canary</html>\n\n", DONE],
    "half a frame": [*START, chunk({"content": "canary"})[:-20]],
    "no object": [*START, b"data: [1]\n\n", DONE],
    "an object that does not close": [*START, b'data: {"canary": \n\n', DONE],
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("surface", ["seed", "openai"])
async def test_a_stream_that_breaks_is_never_passed_off_as_complete(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, how: str, surface: str
) -> None:
    """What came before is delivered and charged; then an error event and no `[DONE]`."""
    frames(upstream, *BREAKS[how])
    reply = await (caller.seed() if surface == "seed" else caller.openai(stream=True))
    ends_in_band(reply)
    texts = [c["choices"][0]["delta"].get("content") or "" for c in reply.chunks if c.get("choices")]
    assert "".join(texts) == "The largest"
    await gateway.settle()
    record = await gateway.books.record(caller)
    reported = how == "ends after its usage without DONE"
    assert record["cost"] == (MINI.cost_nusd(17, 2) if reported else STARTED_NUSD)
    assert record["outcome"] == 2
    assert await gateway.books.balance(caller) == FULL_NUSD - record["cost"]
    assert await gateway.books.held() == 0


@pytest.mark.parametrize("how", ["an error event", "garbage"])
async def test_what_came_with_the_break_in_one_packet_is_delivered_too(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, how: str
) -> None:
    """The charge names what was received: so the caller gets it, whatever the packets' borders."""
    frames(upstream, b"".join(BREAKS[how]))
    reply = await caller.openai(stream=True)
    ends_in_band(reply)
    assert "largest" in reply.text
    assert (await gateway.books.record(caller))["cost"] == STARTED_NUSD


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [b": waiting\n\n"],
        [frame({"error": {"message": "canary"}})],
        [b"<html>canary"],
        [b"data: canary\n\n"],
        [b'{"object": "chat.completion", "choices": []}'],
        [DONE[:-3]],
    ],
    ids=["nothing", "a comment", "an error event", "a page", "no JSON", "no stream", "half an end"],
)
async def test_a_stream_that_fails_before_its_content_is_a_502_and_free(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, sent: list[bytes]
) -> None:
    """While nothing has gone out the status can still say so."""
    frames(upstream, *sent)
    reply = await caller.openai(stream=True)
    assert reply.status == 502
    assert reply.error["code"] == "upstream_error"
    assert "canary" not in reply.text
    record = await gateway.books.record(caller)
    assert (record["cost"], record["outcome"]) == (0, 1)


async def test_a_role_alone_is_no_content(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The first chunk of every stream is empty: a break after it costs nothing."""
    frames(upstream, START[0])
    ends_in_band(await caller.seed())
    assert (await gateway.books.record(caller))["cost"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"canary", b'{"choices": [', b'{"object": "chat.completion"}', b'{"choices": {}}', b"[]", b"\xff",
        b'{"error": {"message": "canary"}, "choices": []}',
    ],
)  # fmt: skip
async def test_a_whole_reply_that_is_none_is_a_502_and_free(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, body: bytes
) -> None:
    """Whatever the upstream calls a reply."""

    async def send(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    upstream.handler = send
    reply = await caller.openai()
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    assert "canary" not in reply.text
    assert (await gateway.books.record(caller))["cost"] == 0


async def test_a_whole_reply_cut_off_is_a_502_and_free(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The connection breaks in the middle of the body."""
    body = json.dumps(completion("Alaska " * 50, usage(17, 50))).encode()

    async def cut(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-length": str(len(body)), "content-type": "application/json"})
        await reply.prepare(request)
        await reply.write(body[:200])
        assert request.transport is not None
        request.transport.abort()
        return reply

    upstream.handler = cut
    reply = await caller.openai()
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    assert (await gateway.books.record(caller))["cost"] == 0


async def test_a_connection_that_breaks_mid_stream(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """A reset, in place of an end."""

    async def cut(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = await upstream.begin(request)
        await reply.write(b"".join(START))
        await asyncio.sleep(0.2)
        assert request.transport is not None
        request.transport.abort()
        return reply

    upstream.handler = cut
    ends_in_band(await caller.seed())
    assert (await gateway.books.record(caller))["cost"] == STARTED_NUSD


@pytest.mark.parametrize("streamed", [False, True])
async def test_compressed_replies_are_refused(caller: Caller, upstream: Upstream, streamed: bool) -> None:
    """We ask for `identity`; a bomb of gzip is never unpacked."""

    async def squeezed(request: web.Request, asked: Asked) -> web.StreamResponse:
        packed = gzip.compress(json.dumps(completion("x", usage(1, 1))).encode())
        return web.Response(body=packed, headers={"content-encoding": "gzip"}, content_type="application/json")

    upstream.handler = squeezed
    reply = await caller.openai(stream=streamed)
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
