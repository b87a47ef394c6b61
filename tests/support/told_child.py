"""A child as an engine's tests need it: it reads one order and then does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from minitoolai.core.child_wire import LENGTH
from minitoolai.core.speech_wire import SpeechOrder, VoicesOrder, read_order

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def told_child(folder: Path, answer: Answer) -> AsyncIterator[list[SpeechOrder | VoicesOrder]]:
    """A child that reads an order and then does as it is told; the orders that came."""
    orders: list[SpeechOrder | VoicesOrder] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            orders.append(read_order(await reader.readexactly(length)))
            await answer(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, str(folder / "s.sock")):
        yield orders


def saying(*frames: bytes, then_silent: bool = False) -> Answer:
    """An answer of these bytes, each by itself; then the end, or nothing until the engine has gone."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in frames:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0.01)
        if then_silent:
            with suppress(ConnectionError):
                await reader.read()

    return answer
