"""Ports of this machine that nobody should knock at, and how often somebody did."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

LOOPBACK = ("127.0.0.1", "::1")


class Honeypot:
    """A port on every loopback address; 443 as well, where this user may open it."""

    def __init__(self) -> None:
        self.knocks = 0
        self.ports: list[int] = []

    async def knock(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a connection."""
        self.knocks += 1
        writer.close()


@contextlib.asynccontextmanager
async def honeypot() -> AsyncIterator[Honeypot]:
    """A pot that is open."""
    pot = Honeypot()
    async with contextlib.AsyncExitStack() as stack:
        for wanted in (0, 443):
            with contextlib.suppress(OSError):
                port = wanted
                for host in LOOPBACK:
                    family = socket.AF_INET6 if ":" in host else socket.AF_INET
                    listener = socket.create_server((host, port), family=family)
                    port = listener.getsockname()[1]
                    await stack.enter_async_context(await asyncio.start_server(pot.knock, sock=listener))
                pot.ports.append(port)
        assert pot.ports
        yield pot
