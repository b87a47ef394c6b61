"""Files that an operator fetches: whole, gone on with, or refused with the remedy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.integrations.downloads import DownloadFailed, Downloads, Wanted

CONTENT = bytes(range(256)) * 4000


class Site:
    """A server of one file, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.ranges: list[str | None] = []
        #: Bytes after which the connection breaks; None: it does not.
        self.break_after: int | None = None
        self.ranged = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as file servers do."""
        self.ranges.append(request.headers.get("range"))
        if request.path == "/page":
            return web.Response(text="<html>", content_type="text/html")
        if request.path == "/moved":
            raise web.HTTPFound("/file")
        if request.path != "/file":
            return web.Response(status=int(request.path[1:]) if request.path[1:].isdigit() else 404)
        start = int((request.headers.get("range") or "bytes=0-")[6:-1]) if self.ranged else 0
        if start >= len(CONTENT):
            return web.Response(status=416, headers={"content-range": f"bytes */{len(CONTENT)}"})
        reply = web.StreamResponse(status=206 if start else 200)
        reply.content_length = len(CONTENT) - start
        if start:
            reply.headers["content-range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        await reply.prepare(request)
        await reply.write(CONTENT[start:] if self.break_after is None else CONTENT[start : start + self.break_after])
        if self.break_after is not None:
            assert request.transport is not None
            request.transport.close()
        return reply


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    """The server."""
    site = Site()
    application = web.Application()
    application.router.add_get("/{name}", site.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


async def fetch(site: Site, path: Path, name: str = "file", sha256: str | None = None) -> tuple[int, list[int]]:
    """Fetch a file; return its bytes, and how far it was each time that was told."""
    told: list[int] = []
    async with Downloads() as downloads:
        size = await downloads.fetch(Wanted(f"{site.url}/{name}", path, sha256), lambda _, has, __: told.append(has))
    return size, told


@pytest.mark.parametrize("name", ["file", "moved"])
async def test_a_file_is_fetched(site: Site, tmp_path: Path, name: str) -> None:
    """Whole, into folders that are made, with its progress; nothing else is left."""
    path = tmp_path / "a" / "voice.onnx"
    size, told = await fetch(site, path, name, hashlib.sha256(CONTENT).hexdigest())
    assert path.read_bytes() == CONTENT
    assert (size, told[-1], told) == (len(CONTENT), len(CONTENT), sorted(told))
    assert [each.name for each in path.parent.iterdir()] == ["voice.onnx"]


async def test_what_is_there_is_not_fetched(site: Site, tmp_path: Path) -> None:
    """Nobody is asked."""
    (tmp_path / "voice").write_bytes(b"mine")
    assert await fetch(site, tmp_path / "voice") == (4, [])
    assert site.ranges == []


@pytest.mark.parametrize("ranged", [True, False])
async def test_a_file_that_broke_off_is_gone_on_with(site: Site, tmp_path: Path, *, ranged: bool) -> None:
    """From where it was; from its beginning where the server gives no parts."""
    path = tmp_path / "voice"
    site.break_after = 100_000
    with pytest.raises(DownloadFailed, match="Run it again"):
        await fetch(site, path)
    assert not path.exists()
    half = (tmp_path / "voice.part").stat().st_size
    assert 0 < half <= 100_000
    site.break_after, site.ranged = None, ranged
    await fetch(site, path)
    assert site.ranges == [None, f"bytes={half}-"]
    assert path.read_bytes() == CONTENT


async def test_a_whole_part_is_taken(site: Site, tmp_path: Path) -> None:
    """One that only had to be renamed is not fetched anew; one that is longer than the file is thrown away."""
    (tmp_path / "voice.part").write_bytes(CONTENT)
    await fetch(site, tmp_path / "voice")
    assert (tmp_path / "voice").read_bytes() == CONTENT
    (tmp_path / "other.part").write_bytes(CONTENT + b"x")
    with pytest.raises(DownloadFailed, match="another file"):
        await fetch(site, tmp_path / "other")
    await fetch(site, tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == CONTENT


async def test_another_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    """Where a checksum is known."""
    with pytest.raises(DownloadFailed, match="checksum"):
        await fetch(site, tmp_path / "voice", sha256="0" * 64)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "words"), [("gone", "no such file. Check the name"), ("500", "answered 500"), ("page", "web page")]
)
async def test_what_is_no_file(site: Site, tmp_path: Path, name: str, words: str) -> None:
    """It is said with what to do; nothing is left."""
    with pytest.raises(DownloadFailed, match=words):
        await fetch(site, tmp_path / "voice", name)
    assert os.listdir(tmp_path) == []


async def test_a_server_that_is_not_there(site: Site, tmp_path: Path) -> None:
    """It is said."""
    site.url = "http://127.0.0.1:1"
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        await fetch(site, tmp_path / "voice")


async def test_a_place_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    """The folder is named, with the remedy."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadFailed, match=r"file cannot be written .* --data-dir"):
        await fetch(site, tmp_path / "file" / "voice")
