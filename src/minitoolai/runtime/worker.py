"""`python -m minitoolai.runtime.worker`: one process that draws jobs. Started by `serve` and by `minitoolai worker`.

Its boot document (`boot.WorkerBoot`) is the first line of standard input, which stays open as a lifeline. Standard output
says `ready` once; logs go to standard error.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import msgspec
import uvloop

from minitoolai.core.errors import MiniToolError
from minitoolai.runtime.boot import WorkerBoot
from minitoolai.runtime.lifeline import read_boot, watch_lifeline
from minitoolai.runtime.telemetry import start_logging
from minitoolai.runtime.worker_wiring import build_worker

log = logging.getLogger(__name__)


async def run(boot: WorkerBoot) -> None:
    """Draw until told to stop."""
    process = build_worker(boot)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.worker.stop)
    print("ready", flush=True)  # noqa: T201 - said to the supervisor
    try:
        await process.worker.run()
    finally:
        await process.close()


def main() -> None:
    """Boot and draw."""
    boot = msgspec.json.decode(read_boot(), type=WorkerBoot)
    start_logging(json=boot.json_log)

    async def boot_and_run() -> None:
        watch_lifeline(asyncio.get_running_loop())
        await run(boot)

    try:
        uvloop.run(boot_and_run())
    except MiniToolError as error:
        log.error("the worker cannot start: %s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
