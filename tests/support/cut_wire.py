"""A database that can be taken away and given back."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path


class CutWire:
    """A TCP proxy before a database on a Unix socket: `cut` takes the database away, `mend` gives it back."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._away = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> CutWire:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._away = True
        self._flowing.set()
        for writer in list(self._open):
            writer.transport.abort()

    def stall(self) -> None:
        """Keep every connection and let nothing through."""
        self._flowing.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._away = False

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._away:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_unix_connection(self._path)
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}
            for end in (writer, far_writer):
                end.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
