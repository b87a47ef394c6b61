"""The two C programs, built when their source is newer, and the fake upstream running."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import OTHER_CORE, Child

HERE = Path(__file__).parent
BUILD = HERE / "build"
#: The paced upstream: milliseconds before the first event, and between events.
FIRST_MS, GAP_MS = 20, 5


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the fake upstream listens."""

    #: Answers at once.
    fast: int
    #: Streams one event each 5 ms.
    slow: int


def programs() -> dict[str, Path]:
    """Return the load client and the fake upstream, built. Raises `CalledProcessError`."""
    BUILD.mkdir(exist_ok=True)
    built = {}
    for name in ("gwload", "fakeup"):
        source, target = HERE / f"{name}.c", BUILD / name
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", "-w", "-o", str(target), str(source), "-lm"], check=True)
        built[name] = target
    return built


@contextlib.contextmanager
def upstream(program: Path) -> Iterator[Upstream]:
    """The fake upstream on two free ports."""
    fast, slow = free_ports(2)
    command = [str(program), str(fast), f"{slow}:{FIRST_MS}:{GAP_MS}"]
    with Child(command, OTHER_CORE, BUILD / "fakeup.log"):
        for port in (fast, slow):
            wait_for_port(port, 5.0)
        yield Upstream(fast, slow)


def free_ports(count: int) -> list[int]:
    """Return ports on loopback that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def wait_for_port(port: int, timeout_s: float) -> None:
    """Wait until something listens. Raises `TimeoutError`."""
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise TimeoutError(f"nothing listens on port {port}") from None
            time.sleep(0.02)
