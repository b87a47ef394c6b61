"""Files as they go over a connection: kept open after replies without a body, and cut off where nobody takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from minitoolai.api.files import PIECE_BYTES, add_files, file_path
from minitoolai.core.jobs import StoredFile
from minitoolai.core.records import RequestRecord
from minitoolai.edge import exchange
from minitoolai.edge.application import Application, Routes
from tests.support.blobs import FakeBlobs, FakeFiles
from tests.support.clients import Caller, exchange_bytes, parse_reply, until
from tests.support.listening import listening

KEY = bytes(32)
JOB_ID, BLOB = 1234567890, "pictures/2026-11-25/1234567890-1.png"
#: What a socket's buffers never hold: a caller that takes nothing is seen.
LARGE = 60 * PIECE_BYTES


@pytest.fixture
def blobs() -> FakeBlobs:
    """A store with one picture of 5000 bytes."""
    blobs = FakeBlobs()
    blobs.files[BLOB] = bytes(range(250)) * 20
    return blobs


@pytest.fixture
async def base(blobs: FakeBlobs) -> AsyncIterator[str]:
    """A server that has the route only."""
    routes, files = Routes(), FakeFiles()
    files.kept[JOB_ID] = StoredFile(BLOB, len(blobs.files[BLOB]))
    add_files(routes, blobs, files, KEY)
    async with listening(Application(routes)) as url:
        yield url


class Ended:
    """Who is told of calls that have ended (`services.ports.Observer`)."""

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []

    def ended(self, record: RequestRecord) -> None:
        """Keep it."""
        self.records.append(record)


def link() -> str:
    """Return a link made now."""
    return file_path(KEY, JOB_ID, "png", int(time.time()))


async def test_replies_without_a_body_keep_the_connection(base: str, blobs: FakeBlobs) -> None:
    """HEAD, 304, 416 and a part, one after another on one connection, and then the picture."""
    path, port = link(), int(base.rsplit(":", 1)[1])
    tag = parse_reply(await exchange_bytes(port, _request("HEAD", path, "connection: close"))).headers["etag"]
    raw = await exchange_bytes(
        port,
        _request("HEAD", path)
        + _request("GET", path, f"if-none-match: {tag}")
        + _request("GET", path, "range: bytes=5000-")
        + _request("GET", path, "range: bytes=10-19")
        + _request("GET", path, "connection: close"),
    )
    heads = [part.partition(b"\r\n")[0] for part in raw.split(b"HTTP/1.1 ")[1:]]
    assert [head.split()[0] for head in heads] == [b"200", b"304", b"416", b"206", b"200"]
    assert raw.endswith(b"\r\n\r\n" + blobs.files[BLOB])
    assert b"transfer-encoding" not in raw


async def test_a_whole_client_gets_it(base: str, blobs: FakeBlobs) -> None:
    """Through a real HTTP client, in full and in part."""
    caller = Caller(base, "", "", 0, 0)
    reply = await caller.get(link())
    assert (reply.status, reply.body) == (200, blobs.files[BLOB])
    reply = await caller.send(link(), method="GET", headers={"range": "bytes=-100"})
    assert (reply.status, reply.body) == (206, blobs.files[BLOB][-100:])


async def test_a_slow_caller_costs_little_and_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes nothing: few pieces are read for it, and its connection ends; one that takes slowly gets it all."""
    monkeypatch.setattr(exchange, "REPLY_DEADLINE_S", 0.5)
    blobs, routes, files = FakeBlobs(), Routes(), FakeFiles()
    blobs.files[BLOB] = bytes(LARGE)
    files.kept[JOB_ID] = StoredFile(BLOB, LARGE)
    add_files(routes, blobs, files, KEY)
    ended = Ended()
    async with listening(Application(routes, [ended])) as base:
        port = int(base.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(_request("GET", link()))
        await until(lambda: ended.records, "the call has ended")
        assert len(blobs.asked) < 40
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(LARGE)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(_request("GET", link(), "connection: close"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: %d\r\n" % LARGE in head
        for _ in range(LARGE // (2 * PIECE_BYTES)):
            await reader.readexactly(2 * PIECE_BYTES)
            await asyncio.sleep(0.02)
        assert await reader.read() == b""
        writer.close()


def _request(method: str, path: str, *more: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: test", *more]).encode() + b"\r\n\r\n"
