"""Pictures put into a call: fetched, decoded by the real child, in place; and what each failure is told as."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from minitoolai.core.errors import ApiError, ImageTooLarge, InvalidImageUrl, InvalidValue, ServiceUnavailable
from minitoolai.core.image_urls import picture_of
from minitoolai.integrations import pictures as inlining
from minitoolai.integrations.fetcher import UNREACHABLE, Fetcher
from minitoolai.integrations.pictures import AT_ONCE_OF_A_CALL, MAX_PICTURES, InlinedPictures
from tests.support.llama_child import short_folder
from tests.support.pictures import as_url, opened, picture, png_bomb
from tests.support.pictures_child import PicturesChild, pictures_child
from tests.support.websites import World, world


@pytest.fixture(scope="module")
def child() -> Iterator[PicturesChild]:
    """The child that decodes."""
    with short_folder() as folder, pictures_child(folder) as started:
        assert started.started()["event"] == "ready"
        yield started


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[World]:
    """A site whose every path is a picture."""
    async with world(tmp_path) as made:
        made.handler = _picture
        yield made


@pytest.fixture
async def pictures(outside: World, child: PicturesChild) -> AsyncIterator[InlinedPictures]:
    """What is tested."""
    made = InlinedPictures(Fetcher(outside.reach), str(child.socket))
    yield made
    await made.close()


async def _picture(_: web.Request) -> web.StreamResponse:
    return web.Response(body=picture("JPEG", (300, 200)))


def body(*urls: str) -> dict[str, Any]:
    """Return a chat body with pictures in its second message."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": "Look"}]
    parts += [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    return {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": parts}], "n": 1}


def urls_of(inlined: dict[str, Any]) -> list[str]:
    """Return the URLs of a body."""
    return [part["image_url"]["url"] for part in inlined["messages"][1]["content"][1:]]


async def refused(pictures: InlinedPictures, error: type[ApiError], *urls: str) -> ApiError:
    """Assert that a call is refused, and return why."""
    with pytest.raises(error) as caught:
        await pictures.inline(body(*urls))
    assert type(caught.value) is error
    return caught.value


async def test_pictures_are_put_into_the_call(outside: World, pictures: InlinedPictures) -> None:
    """Fetched or brought along, each is a new file in its place; nothing else of the body changes."""
    given = body(outside.url("/a"), as_url(picture("GIF", (30, 20)), "gif"), outside.url("/b"), outside.url("/a"))
    inlined = await pictures.inline(given)
    sizes = [opened(picture_of(url, "")).size for url in urls_of(inlined)]
    assert sizes == [(300, 200), (30, 20), (300, 200), (300, 200)]
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls_of(inlined))
    assert sorted(request.path for request in outside.asked) == ["/a", "/b"], "a URL that stands twice is fetched once"
    assert given == body(outside.url("/a"), as_url(picture("GIF", (30, 20)), "gif"), outside.url("/b"), outside.url("/a"))
    for part, url in zip(given["messages"][1]["content"][1:], urls_of(inlined), strict=True):
        part["image_url"]["url"] = url
    assert inlined == given


async def test_what_is_refused(outside: World, pictures: InlinedPictures) -> None:
    """The error names the picture at fault, and says no more of the network than that it is there or not."""
    good = as_url(picture())
    error = await refused(pictures, InvalidImageUrl, good, "https://nowhere.test/")
    assert (error.param, error.facts["why"]) == ("messages[1].content[2].image_url.url", UNREACHABLE)
    error = await refused(pictures, InvalidImageUrl, as_url(picture()[:60]))
    assert "it is damaged" in error.message
    error = await refused(pictures, ImageTooLarge, good, as_url(png_bomb(12_000, 12_000)))
    assert error.param == "messages[1].content[2].image_url.url"

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"<html>", content_type="image/png")

    outside.handler = page
    error = await refused(pictures, InvalidImageUrl, outside.url())
    assert "it holds no png" in error.message


async def test_how_many(outside: World, pictures: InlinedPictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit on pictures, on their bytes together, and on how many are fetched at once."""
    error = await refused(pictures, InvalidValue, *(outside.url(f"/{n}") for n in range(MAX_PICTURES + 1)))
    assert error.param == f"messages[1].content[{MAX_PICTURES + 1}]"
    assert outside.asked == []
    now = most = 0

    async def slow(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(now, most)
        await asyncio.sleep(0.02)
        now -= 1
        return await _picture(request)

    outside.handler = slow
    await pictures.inline(body(*(outside.url(f"/{n}") for n in range(MAX_PICTURES))))
    assert most == AT_ONCE_OF_A_CALL
    monkeypatch.setattr(inlining, "MAX_TOTAL_BYTES", 3000)
    await refused(pictures, ImageTooLarge, *(outside.url(f"/{n}") for n in range(MAX_PICTURES)))


async def test_no_child(outside: World, tmp_path: Path) -> None:
    """While the child is away, calls with pictures may be repeated."""
    pictures = InlinedPictures(Fetcher(outside.reach), str(tmp_path / "nobody"))
    error = await refused(pictures, ServiceUnavailable, as_url(picture()))
    assert error.retry_after_s == 2
    assert await pictures.inline(body()) == body()
    await pictures.close()


async def test_a_child_that_dies(outside: World) -> None:
    """Killed in the middle of a picture, it costs the calls that it was working for, and they may be repeated."""
    with short_folder() as folder, pictures_child(folder) as doomed:
        doomed.started()
        pictures = InlinedPictures(Fetcher(outside.reach), str(doomed.socket))
        waiting = asyncio.create_task(pictures.inline(body(*[as_url(png_bomb(7000, 7000 - n)) for n in range(4)])))
        await asyncio.sleep(0.2)
        doomed.end()
        with pytest.raises(ServiceUnavailable):
            await waiting
        await pictures.close()


async def test_a_caller_that_leaves(outside: World, pictures: InlinedPictures) -> None:
    """A cancelled call stops fetching at once."""
    left = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            left.set()
            raise
        return web.Response()

    outside.handler = silent
    waiting = asyncio.create_task(pictures.inline(body(outside.url())))
    while not outside.asked:
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(left.wait(), 5)
