"""A connection to a child of this server that takes orders by `core.child_wire`: one order, then frames until the last.

Closing it cancels the order, so whoever opens one closes it at once, however the order ends.
"""

from __future__ import annotations

import asyncio
from typing import Generic, Self

import msgspec

from minitoolai.core.catalog import Model
from minitoolai.core.child_wire import AnyKind, Frames, order_bytes
from minitoolai.core.errors import NoEngine

#: A child that loads its model, or is started again, is there in so many seconds.
RETRY_AFTER_S = 5
#: Bytes read at once; as much again waits here, and whoever reads no more keeps the child from sending more.
READ_BYTES = 64 * 1024


async def is_there(socket: str) -> bool:
    """Whether a child listens at a Unix socket: then it has loaded its model and takes orders."""
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.transport.abort()
    return True


class ChildConnection(Generic[AnyKind]):
    """One order of a child."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: Frames[AnyKind]) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = frames

    @classmethod
    async def open(cls, socket: str, model: Model, frames: Frames[AnyKind], order: msgspec.Struct) -> Self:
        """Connect and send an order. Raises `NoEngine` while the child loads its model or is being restarted."""
        try:
            reader, writer = await asyncio.open_unix_connection(socket, limit=READ_BYTES)
        except OSError as error:
            raise NoEngine(param="model", model=model.id, retry_after_s=RETRY_AFTER_S) from error
        writer.write(order_bytes(order))
        return cls(reader, writer, frames)

    async def read(self) -> list[tuple[AnyKind, bytes]]:
        """Return the next frames, at least one. Raises `OSError`, where the child ends too, and `BadFrame`."""
        found: list[tuple[AnyKind, bytes]] = []
        while not found:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("it ended before its last frame")
            found = self._frames.receive(data)
        return found

    def close(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()
