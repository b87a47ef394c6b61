"""Pictures at OpenAI and its like: what is sent, and what each way to fail means for the job."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from minitoolai.core.catalog import PictureModel
from minitoolai.core.errors import (
    ApiError,
    EngineLacksModel,
    EngineQuotaExhausted,
    EngineRefusedRequest,
    InvalidValue,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.pictures import PictureRequest
from minitoolai.engines import openai_images
from minitoolai.engines.openai_images import OpenAIImages
from minitoolai.engines.openai_upstream import OpenAIUpstream, UpstreamSettings
from minitoolai.services.picture_ports import PictureEngine
from tests.support.clients import PATIENCE_S, until
from tests.support.faithful_images import FORBIDDEN
from tests.support.faithful_upstream import KEY, FaithfulUpstream
from tests.support.pictures import opened, picture
from tests.support.upstream import Asked, Upstream

MODEL = PictureModel("seen", 1, engine="up", upstream="dall-e-3")
ASKED = PictureRequest("a canary", "no cage", "Euler", 8, 7.0, 1024, 1024, 7)
RIGHT = picture(size=(1024, 1024))
#: So soon a wait ends that is to end by itself.
SOON_S = 0.05

Drawing = Callable[..., Awaitable[bytes]]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A server that does as it is told."""
    async with Upstream() as server:
        yield server


@pytest.fixture
async def draw() -> AsyncIterator[Drawing]:
    """Draws at a server: `await draw(url, model, request, first_byte_s=…)`."""
    opened_here: list[OpenAIUpstream] = []

    async def drawing(
        url: str, model: PictureModel = MODEL, request: PictureRequest = ASKED, **settings: Any
    ) -> bytes:  # fmt: skip
        opened_here.append(OpenAIUpstream("up", UpstreamSettings(url, KEY, **settings)))
        engine: PictureEngine = OpenAIImages(opened_here[-1], 8)
        return await engine.draw(model, request, _never)

    yield drawing
    for each in opened_here:
        await each.close()


def _never(_: float) -> None:
    pytest.fail("nothing is known of a picture's progress")


def answering(body: bytes, **options: Any) -> Callable[[web.Request, Asked], Awaitable[web.StreamResponse]]:
    """What answers with these bytes."""

    async def answer(_: web.Request, __: Asked) -> web.StreamResponse:
        return web.Response(body=body, **options)

    return answer


def holding(data: bytes) -> bytes:
    """Return a reply with a picture in it."""
    return json.dumps({"created": 1, "data": [{"b64_json": b64encode(data).decode()}]}).encode()


@pytest.mark.parametrize(
    ("name", "size"), [("dall-e-2", (512, 512)), ("dall-e-3", (1792, 1024)), ("gpt-image-1", (1536, 1024))]
)
async def test_what_openai_takes(draw: Drawing, name: str, size: tuple[int, int]) -> None:
    """A picture of the asked size comes, and nothing was sent that OpenAI's own API refuses."""
    asked = msgspec.structs.replace(ASKED, width=size[0], height=size[1])
    async with FaithfulUpstream() as openai:
        data = await draw(openai.url, PictureModel("seen", 1, upstream=name), asked)
        (call,) = openai.calls
    assert opened(data).size == size
    sent = {"model": name, "prompt": "a canary", "n": 1, "size": f"{size[0]}x{size[1]}"}
    expected = sent if name == "gpt-image-1" else {**sent, "response_format": "b64_json"}
    assert (call.path, call.body) == ("/v1/images/generations", expected)
    assert call.headers["authorization"] == f"Bearer {KEY}"


async def test_what_openai_refuses(draw: Drawing) -> None:
    """Its refusals are the request's fault, or that of the settings."""
    async with FaithfulUpstream() as openai:
        with pytest.raises(EngineRefusedRequest) as caught:
            await draw(openai.url, request=msgspec.structs.replace(ASKED, prompt=FORBIDDEN))
        assert caught.value.param is None
        with pytest.raises(EngineRefusedRequest) as caught:
            await draw(openai.url, request=msgspec.structs.replace(ASKED, width=512))
        assert caught.value.param == "size"
        with pytest.raises(EngineLacksModel):
            await draw(openai.url, PictureModel("unknown", 1))


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {}, EngineRefusedRequest),
        (401, {}, UpstreamError),
        (403, {}, UpstreamError),
        (404, {}, EngineLacksModel),
        (429, {}, RateLimited),
        (429, {"code": "insufficient_quota"}, EngineQuotaExhausted),
        (500, {}, UpstreamError),
        (503, {}, ServiceUnavailable),
        (302, {}, UpstreamError),
    ],
)
async def test_statuses(
    upstream: Upstream, draw: Drawing, status: int, error: dict[str, str], expected: type[ApiError]
) -> None:
    """Each is what it is for chat."""
    body = json.dumps({"error": {"message": "canary", **error}}).encode()
    upstream.handler = answering(body, status=status, headers={"location": "/elsewhere", "retry-after": "7"})
    with pytest.raises(expected) as caught:
        await draw(upstream.url)
    assert "canary" not in caught.value.message
    assert len(upstream.asked) == 1, "a call that was sent is not sent again"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no reply of the images API"),
        (b"{", "no reply of the images API"),
        (b'{"data": {}}', "no reply of the images API"),
        (b'{"data": [{"b64_json": 5}]}', "no reply of the images API"),
        (b'{"created": 1}', "no reply of the images API"),
        (b'{"data": []}', "no picture"),
        (b'{"data": [{}]}', "no picture"),
        (b'{"data": [{"url": "https://canary.test/"}]}', "have the server answer response_format b64_json"),
        (b'{"data": [{"b64_json": "%"}]}', "base64 that is not valid"),
        ('{"data": [{"b64_json": "ą"}]}'.encode(), "base64 that is not valid"),
        (holding(b"canary"), "no picture in the base64"),
        (holding(RIGHT[:20]), "no picture in the base64"),
        (holding(picture(size=(512, 512))), "a png of 512x512 where a png of 1024x1024 was asked"),
        (holding(picture("WEBP", (1024, 1024))), "a webp of 1024x1024 where a png of 1024x1024 was asked"),
    ],
)
async def test_replies_that_are_no_use(
    upstream: Upstream, draw: Drawing, caplog: pytest.LogCaptureFixture, body: bytes, words: str
) -> None:
    """The caller is told that the model failed; the log says what came, and nothing of what was in it."""
    upstream.handler = answering(body)
    with caplog.at_level(logging.ERROR), pytest.raises(UpstreamError):
        await draw(upstream.url)
    (line,) = caplog.messages
    assert words in line
    assert "canary" not in line


async def test_replies_that_are_too_long(upstream: Upstream, draw: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has more bytes than any picture is cut off."""
    monkeypatch.setattr(openai_images, "MAX_REPLY_BYTES", len(holding(RIGHT)))
    upstream.handler = answering(holding(RIGHT))
    assert await draw(upstream.url) == RIGHT

    async def endless(request: web.Request, _: Asked) -> web.StreamResponse:
        reply = await upstream.begin(request)
        while True:
            await reply.write(bytes(65536))

    upstream.handler = endless
    with pytest.raises(UpstreamError):
        await draw(upstream.url)
    async with asyncio.timeout(PATIENCE_S):
        await upstream.asked[-1].left.wait()


async def test_replies_that_break_off(upstream: Upstream, draw: Drawing) -> None:
    """A reply that ends before its length is no picture."""

    async def cut(request: web.Request, _: Asked) -> web.StreamResponse:
        reply = web.StreamResponse()
        reply.content_length = len(holding(RIGHT))
        await reply.prepare(request)
        await reply.write(holding(RIGHT)[:-1])
        assert request.transport is not None
        request.transport.close()
        return reply

    upstream.handler = cut
    with pytest.raises(UpstreamError):
        await draw(upstream.url)


@pytest.mark.parametrize("late", ["first_byte_s", "between_bytes_s", "total_s"])
async def test_waits_end(upstream: Upstream, draw: Drawing, late: str) -> None:
    """No headers, no further byte, and a picture that takes too long in all are given up, and the server is let go."""

    async def slow(request: web.Request, _: Asked) -> web.StreamResponse:
        if late == "first_byte_s":
            await asyncio.sleep(PATIENCE_S)
        reply = await upstream.begin(request)
        await reply.write(b" ")
        await asyncio.sleep(PATIENCE_S)
        return reply

    upstream.handler = slow
    with pytest.raises(UpstreamTimeout):
        await draw(upstream.url, **{late: SOON_S})
    async with asyncio.timeout(PATIENCE_S):
        await upstream.asked[-1].left.wait()


async def test_a_server_that_is_not_there(upstream: Upstream, draw: Drawing) -> None:
    """It fails like one that answers 500."""
    async with Upstream() as gone:
        url = gone.url
    with pytest.raises(UpstreamError):
        await draw(url)


async def test_a_picture_that_is_given_up(upstream: Upstream, draw: Drawing) -> None:
    """Cancelled, the connection is closed at once."""

    async def slow(_: web.Request, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(PATIENCE_S)
        return web.Response()

    upstream.handler = slow
    drawing = asyncio.ensure_future(draw(upstream.url))
    await until(lambda: upstream.asked, "a call")
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    async with asyncio.timeout(PATIENCE_S):
        await upstream.asked[0].left.wait()


async def test_sizes_that_the_model_does_not_draw(upstream: Upstream, draw: Drawing) -> None:
    """They are refused before anything is sent, in words that name those that it draws."""
    upstream.handler = answering(holding(RIGHT))
    some = PictureModel("seen", 1, sizes=("1024x1024", "1536x1024"))
    with pytest.raises(InvalidValue, match=r"draws 1024x1024, 1536x1024, not 1024x1025\.") as caught:
        await draw(upstream.url, some, msgspec.structs.replace(ASKED, height=1025))
    assert (caught.value.param, upstream.asked) == ("width", [])
    assert await draw(upstream.url, some) == RIGHT
