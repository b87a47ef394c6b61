"""A supervised child as the rest of the house sees it, and what can be wrong with it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from collections.abc import Sequence

from minitoolai.runtime.processes import ChildSpec, Process

#: Lines of a child's output kept for its error message.
LAST_LINES = 20

LOG = logging.getLogger("minitoolai.supervisor")


class ChildFailed(Exception):
    """An essential child ended before it was ever ready."""

    def __init__(self, name: str, status: str, last_lines: Sequence[str]) -> None:
        said = "".join(f"\n  {line}" for line in last_lines)
        super().__init__(f"{name} {status} before it was ready" + (f"; its last lines:{said}" if said else ""))
        self.name = name
        self.status = status
        self.last_lines = tuple(last_lines)


class Stopping(Exception):
    """The supervisor was asked to stop while a child was starting."""


class Child:
    """A supervised child: one spec, one life after another."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        #: "starting", "ready", "waiting" (for its restart), "stopping", "stopped" or "failed".
        self.state = "starting"
        self.restarts = 0
        self.process: Process | None = None
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        #: Done when it was ready for the first time; its exception is why it never was.
        self.first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stop_asked = asyncio.Event()
        self.keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Its process now, None between two lives."""
        return self.process.pid if self.process is not None else None

    async def wait_ready(self) -> None:
        """Return once it has been ready. Raises `ChildFailed` (or the spec's own error), or `Stopping`."""
        await asyncio.shield(self.first_ready)

    def is_alive(self) -> bool:
        """Whether a process of it runs now."""
        return self.process is not None and self.process.status is None

    def heard(self, stream: str, line: str) -> None:
        """Take one line of its output."""
        self.last_lines.append(line)
        if self.spec.on_line is not None:
            self.spec.on_line(stream, line)
        else:
            LOG.info("[%s] %s", self.name, line)


def in_words(status: int) -> str:
    """An exit status as a log line says it."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
