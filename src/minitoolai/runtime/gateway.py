"""`python -m minitoolai.runtime.gateway`: one process that answers calls. Started by `serve`, one per worker.

Its boot document (`boot.GatewayBoot`) is the first line of standard input, which stays open as a lifeline: its end
means that the supervising process died. Standard output says `ready` once; logs go to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator

import msgspec
import uvicorn
import uvloop

from minitoolai.core.errors import Draining, MiniToolError
from minitoolai.edge.protocol import LimitedProtocol
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.lifeline import read_boot, watch_lifeline
from minitoolai.runtime.telemetry import start_logging
from minitoolai.runtime.wiring import Gateway, build_gateway

#: What a stopping process gives the database to take its last settlements.
SETTLE_TIMEOUT_S = 10.0
#: An idle connection stays open so long: longer than the usual balancers keep theirs (60 s).
KEEP_IDLE_S = 75
BACKLOG = 2048

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without its own idea of signals, which says when it listens."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)  # noqa: T201 - said to the supervisor


async def run(boot: GatewayBoot) -> bool:
    """Serve until told to stop; whether every call was settled."""
    gateway = await build_gateway(boot)
    server = _Server(
        uvicorn.Config(
            gateway.asgi,
            http=LimitedProtocol,
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_IDLE_S,
            timeout_graceful_shutdown=None,
            backlog=BACKLOG,
        )
    )
    gc.collect()
    gc.freeze()  # what was imported and built stays: the collector need not look at it again
    _stop_on_signals(gateway, server, boot.settings.server.drain_timeout_s)
    listener = socket.socket(fileno=boot.listen_fd)
    await server.serve(sockets=[listener])
    return await gateway.close(SETTLE_TIMEOUT_S)


def _stop_on_signals(gateway: Gateway, server: uvicorn.Server, drain_timeout_s: float) -> None:
    loop = asyncio.get_running_loop()

    def cut() -> None:
        gateway.calls.interrupt_all(lambda: Draining(retry_after_s=2))
        loop.call_later(2.0, force)

    def force() -> None:
        server.force_exit = True

    def stop() -> None:
        if gateway.application.draining:
            cut()
            return
        gateway.application.draining = True
        gateway.drawn.news.wake()  # who waits for a job is told how it stands
        server.should_exit = True
        loop.call_later(drain_timeout_s, cut)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def main() -> None:
    """Boot and serve. Exit status 0 when every call was settled."""
    boot = msgspec.json.decode(read_boot(), type=GatewayBoot)
    start_logging(json=boot.json_log)

    async def boot_and_run() -> bool:
        watch_lifeline(asyncio.get_running_loop())
        return await run(boot)

    try:
        settled = uvloop.run(boot_and_run())
    except MiniToolError as error:
        log.error("the gateway cannot start: %s", error)
        sys.exit(1)
    sys.exit(0 if settled else 1)


if __name__ == "__main__":
    main()
