"""An ASGI application on this event loop behind the product's own HTTP protocol, listening on a real port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn

from minitoolai.edge.cors import Asgi
from minitoolai.edge.protocol import LimitedProtocol
from tests.support.clients import until


@contextlib.asynccontextmanager
async def listening(asgi: Asgi) -> AsyncIterator[str]:
    """The base URL of a server for `asgi`, stopped at the end."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as uvloop does: 40 ms a call on a kept connection
    server = _Server(
        uvicorn.Config(
            asgi, http=LimitedProtocol, loop="none", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=5,
        )
    )  # fmt: skip
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started, "the server listens")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
