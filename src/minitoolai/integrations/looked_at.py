"""Callers' files, shown to the children that look at them: one file a connection, behind its length (`core/child_wire`)."""

from __future__ import annotations

import asyncio

from minitoolai.core.child_wire import HEAD, LENGTH

#: Seconds for one file at a child, waiting for its turn included: longer than a child gives to a file.
CHILD_S = 30.0
#: Bytes handed to the socket at a time, so that a file is not in memory a second time while it waits to be sent.
PIECE_BYTES = 256 * 1024


async def shown(socket: str, file: bytes) -> tuple[int, bytes]:
    """Show a file to the child at a Unix socket; return its verdict and what follows it.

    Raises `OSError`, `EOFError` or `TimeoutError` where the child does not answer.
    """
    async with asyncio.timeout(CHILD_S):
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            writer.write(LENGTH.pack(len(file)))
            rest = memoryview(file)
            while rest:
                writer.write(rest[:PIECE_BYTES])
                rest = rest[PIECE_BYTES:]
                await writer.drain()
            verdict, size = HEAD.unpack(await reader.readexactly(HEAD.size))
            return verdict, await reader.readexactly(size)
        finally:
            writer.close()
