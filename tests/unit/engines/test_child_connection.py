"""A connection to a child: orders, frames, and what a child that is not there means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.child_wire import BadFrame, Frames, frame, order_bytes
from minitoolai.core.errors import NoEngine
from minitoolai.core.speech_wire import MAX_FRAME_BYTES, Kind, VoicesOrder
from minitoolai.engines.child_connection import READ_BYTES, RETRY_AFTER_S, ChildConnection, is_there
from tests.support.child_process import PATIENCE_S
from tests.support.llama_child import short_folder

MODEL = SpeechModel("m", 1, engine="s")
ORDER = order_bytes(VoicesOrder())


@pytest.fixture
def path() -> Iterator[str]:
    """Where a child may listen."""
    with short_folder() as folder:
        yield str(folder / "s.sock")


async def opened(path: str) -> ChildConnection[Kind]:
    """Open a connection."""
    return await ChildConnection.open(path, MODEL, Frames(Kind, MAX_FRAME_BYTES), VoicesOrder())


@asynccontextmanager
async def child(
    path: str, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[None]:
    """A child that answers so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, path), asyncio.timeout(PATIENCE_S):
        yield


async def test_frames_are_read_as_they_come(path: str) -> None:
    """The order arrives whole; each read returns at least one frame, however the bytes are cut."""
    came: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readexactly(len(ORDER)))
        for part in (frame(Kind.AUDIO, b"abc")[:4], frame(Kind.AUDIO, b"abc")[4:] + frame(Kind.AUDIO), frame(Kind.END)):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with child(path, answer):
        connection = await opened(path)
        frames: list[tuple[Kind, bytes]] = []
        while not frames or frames[-1][0] is not Kind.END:
            found = await connection.read()
            assert found
            frames += found
        assert frames == [(Kind.AUDIO, b"abc"), (Kind.AUDIO, b""), (Kind.END, b"")]
        with pytest.raises(OSError, match="last frame"):
            await connection.read()
        connection.close()
    assert came == [ORDER]


async def test_what_is_no_frame(path: str) -> None:
    """It cannot be read on."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK")

    async with child(path, answer):
        connection = await opened(path)
        with pytest.raises(BadFrame):
            await connection.read()
        connection.close()


async def test_who_reads_no_more_stops_the_child(path: str) -> None:
    """It can send what two buffers and the socket hold, and no more."""
    sent = 0

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with suppress(ConnectionError):
            for _ in range(1000):
                writer.write(frame(Kind.AUDIO, bytes(10_000)))
                await writer.drain()
                sent += 10_000

    async with child(path, answer):
        connection = await opened(path)
        assert await connection.read()
        last = -1
        while sent != last:
            last = sent
            await asyncio.sleep(0.05)
        assert sent < 10 * READ_BYTES
        connection.close()


async def test_closing_is_heard_at_once(path: str) -> None:
    """The child sees the end of the connection."""
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            assert await reader.read() == ORDER
        left.set()

    async with child(path, answer):
        connection = await opened(path)
        await asyncio.sleep(0.01)
        connection.close()
        await left.wait()


async def test_no_child_listens(path: str) -> None:
    """The call may be repeated soon; whether a child is there can be asked."""
    assert not await is_there(path)
    with pytest.raises(NoEngine) as caught:
        await opened(path)
    assert caught.value.retry_after_s == RETRY_AFTER_S
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        asked.set()

    async with child(path, answer):
        assert await is_there(path)
        await asked.wait()
