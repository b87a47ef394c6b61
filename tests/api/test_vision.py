"""Pictures through an upstream: passed on as they came, or put into the call; refused without a hold that stays."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.core.image_urls import picture_of
from minitoolai.runtime.model_settings import ModelSettings
from tests.api.conftest import Serving
from tests.support.clients import Caller, Reply, shows
from tests.support.llama_child import short_folder
from tests.support.local_gateway import LocalGateway
from tests.support.pictures import as_url, opened, picture, png_bomb
from tests.support.pictures_child import PicturesChild, pictures_child
from tests.support.upstream import Upstream
from tests.support.websites import World, world

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of Linux alone"),
]
PATH = "messages[1].content[1].image_url.url"
URL = "https://example.com/image.jpg"
#: The seed's sample.
SAMPLE: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "developer", "content": "You are a helpful assistant."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What's in this image?"},
                {"type": "image_url", "image_url": {"url": URL, "detail": "auto"}},
            ],
        },
    ],
    "temperature": 0.7,
    "max_completion_tokens": 300,
}


@pytest.fixture(scope="module")
def child() -> Iterator[PicturesChild]:
    """The child that decodes."""
    with short_folder() as folder, pictures_child(folder) as started:
        assert started.started()["event"] == "ready"
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def outside(tmp_path: Path) -> AsyncIterator[World]:
    """A site whose every path is a picture."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=picture("GIF", (300, 200)))

    async with world(tmp_path) as made:
        made.handler = answer
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def inlining(serving: Serving, child: PicturesChild, outside: World) -> AsyncIterator[LocalGateway]:
    """A gateway whose upstream fetches nothing itself."""
    options = {"engine": {"fetches_images": False}, "pictures_socket": str(child.socket), "reach": outside.reach}
    async with serving(**options) as started:
        yield started


def sample(*images: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the sample with other pictures."""
    system, user = SAMPLE["messages"]
    parts = [user["content"][0], *({"type": "image_url", "image_url": image} for image in images)]
    return {**SAMPLE, "messages": [system, {**user, "content": parts}], **fields}


async def ask(caller: Caller, *images: dict[str, Any], **fields: Any) -> Reply:
    """Call OpenAI's surface with such pictures."""
    return await caller.openai(**sample(*images, **fields))


def arrived(upstream: Upstream) -> list[dict[str, Any]]:
    """Return the pictures of the call that came to the upstream."""
    (call,) = upstream.asked
    return [part["image_url"] for part in call.body["messages"][1]["content"][1:]]


async def nothing_lost(gateway: LocalGateway, caller: Caller) -> None:
    """Assert that a call cost nothing and left no hold."""
    await gateway.settle()
    balance = (await caller.get("/v1/balance")).json
    assert (balance["balance"], balance["held"]) == ("5", "0")


async def test_the_seeds_sample(caller: Caller, upstream: Upstream) -> None:
    """The sample with a picture streams an answer, on the seed's surface as it stands; the URL is passed on untouched."""
    reply = await caller.send("/api/chat-completions/", SAMPLE)
    assert reply.status == 200
    assert reply.done
    assert reply.content == "".join(upstream.words)
    assert upstream.asked[0].body["messages"] == SAMPLE["messages"]


@pytest.mark.parametrize("detail", ["auto", "low", "high"])
async def test_pictures_are_passed_on(caller: Caller, upstream: Upstream, detail: str) -> None:
    """Neither a URL nor a picture inside the call is touched where the upstream fetches for itself."""
    images = [{"url": URL, "detail": detail}, {"url": as_url(picture("WEBP"), "webp"), "detail": detail}]
    reply = await ask(caller, *images)
    assert reply.status == 200
    assert arrived(upstream) == images


@pytest.mark.parametrize(
    ("image", "tokens"),
    [
        ({"url": URL, "detail": "low"}, 2833),
        ({"url": URL}, 48_169),
        ({"url": as_url(picture("PNG", (1024, 1024))), "detail": "high"}, 2833 + 4 * 5667),
        ({"url": as_url(picture("PNG", (10, 10)))}, 2833 + 5667),
    ],
)
async def test_the_hold_covers_the_pictures(caller: Caller, upstream: Upstream, image: dict[str, Any], tokens: int) -> None:
    """A call may cost what its pictures are by OpenAI's rules: exactly, where their size is known."""
    text = 40
    body = sample(image, max_completion_tokens=1)
    below, above = (f"{(tokens + more) * 15 / 10**8:.9f}" for more in (-1, text))
    reply = await caller.send("/v1/chat/completions", body, headers={"x-max-cost": below})
    assert reply.status == 402
    reply = await caller.send("/v1/chat/completions", body, headers={"x-max-cost": above})
    assert reply.status == 200


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com/a.png", "invalid_image_url"),
        ("data:image/png;base64,AAAA", "invalid_image_url"),
        (as_url(png_bomb(12_000, 12_000)), "image_too_large"),
    ],
)
async def test_refused_before_the_hold(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, url: str, code: str
) -> None:
    """What is no picture is 400 with its path; the upstream is not asked."""
    shows(await ask(caller, {"url": url}), 400, code, "invalid_request_error", "Send", param=PATH)
    assert upstream.asked == []
    await nothing_lost(gateway, caller)


async def test_a_model_that_cannot_see(serving: Serving, upstream: Upstream) -> None:
    """400 that names the part."""
    async with serving(models={"gpt-4o": ModelSettings(engine="up", vision=False)}) as gateway:
        reply = await ask(await gateway.caller(), {"url": URL}, model="gpt-4o")
        words = ("the model 'gpt-4o' cannot see images", "Send text parts only")
        shows(reply, 400, "invalid_value", "invalid_request_error", *words, param="messages[1].content[1]")
    assert upstream.asked == []


async def test_pictures_are_put_into_the_call(inlining: LocalGateway, outside: World, upstream: Upstream) -> None:
    """Where the upstream does not fetch, it is handed new pictures: those of the Internet, and those of the call."""
    caller = await inlining.caller()
    given = as_url(picture("WEBP", (30, 20), mode="RGBA", color=(9, 9, 9, 9)), "webp")
    reply = await ask(caller, {"url": outside.url(), "detail": "high"}, {"url": given})
    assert reply.status == 200
    fetched, brought = arrived(upstream)
    assert fetched["url"].startswith("data:image/jpeg;base64,")
    assert fetched["detail"] == "high"
    assert opened(picture_of(fetched["url"], "")).size == (300, 200)
    assert brought["url"].startswith("data:image/png;base64,")
    assert opened(picture_of(brought["url"], "")).size == (30, 20)


@pytest.mark.parametrize("stream", [False, True])
async def test_refused_after_the_hold(inlining: LocalGateway, outside: World, upstream: Upstream, stream: bool) -> None:
    """A picture that cannot be had is 400 with its path; the hold is released and the upstream not asked."""
    caller = await inlining.caller()
    outside.answers = [["127.0.0.1"]]
    reply = await ask(caller, {"url": outside.url()}, stream=stream)
    shows(reply, 400, "invalid_image_url", "invalid_request_error", "could not be fetched", param=PATH)
    reply = await ask(caller, {"url": as_url(picture()[:60])}, stream=stream)
    shows(reply, 400, "invalid_image_url", "invalid_request_error", "it is damaged", param=PATH)
    assert (upstream.asked, outside.asked, outside.knocks) == ([], [], 0)
    await nothing_lost(inlining, caller)


async def test_without_the_child(serving: Serving, outside: World, upstream: Upstream, tmp_path: Path) -> None:
    """503 with retry-after while nothing decodes; text goes on."""
    options = {"engine": {"fetches_images": False}, "pictures_socket": str(tmp_path / "none"), "reach": outside.reach}
    async with serving(**options) as gateway:
        caller = await gateway.caller()
        reply = await ask(caller, {"url": as_url(picture())})
        shows(reply, 503, "service_unavailable", "server_error", "Repeat")
        assert reply.headers["retry-after"] == "2"
        assert upstream.asked == []
        await nothing_lost(gateway, caller)
        assert (await caller.openai()).status == 200


async def test_an_empty_account_fetches_nothing(inlining: LocalGateway, outside: World) -> None:
    """Money is asked for before a picture is."""
    caller = await inlining.caller("0")
    assert (await ask(caller, {"url": outside.url()})).status == 402
    assert outside.names == []
