"""A child that looks at callers' files, as a test runs it: a real process behind its Unix socket."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from minitoolai.core.child_wire import HEAD, LENGTH
from tests.support.child_process import ChildProcess

#: A start takes 0.2 s on an idle machine, an answer milliseconds; this one may be busy.
PATIENCE_S = 30.0


def request(file: bytes) -> bytes:
    """Return what is sent for a file."""
    return LENGTH.pack(len(file)) + file


class LookingChild(ChildProcess):
    """A running child."""

    def __init__(self, module: str, folder: Path, boot: object = None) -> None:
        listens = folder / "c.sock"
        super().__init__(module, {"socket": str(listens)} if boot is None else boot, listens, folder / "stderr")

    def answer(self, file: bytes) -> tuple[int, bytes] | None:
        """Return the verdict on a file and what follows it; None: no answer."""
        with self.open(request(file)) as connection, connection.makefile("rb") as stream:
            head = stream.read(HEAD.size)
            if not head:
                return None
            verdict, size = HEAD.unpack(head)
            return verdict, stream.read(size)

    def forks(self) -> list[int]:
        """Return the pids of the forks at work (Linux)."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def until_idle(self) -> None:
        """Wait until no fork is left."""
        deadline = time.monotonic() + PATIENCE_S
        while self.forks() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert self.forks() == []

    def end(self) -> None:
        """Kill it, and its forks, by their pids."""
        if self.process.poll() is None:
            for pid in self.forks():
                os.kill(pid, signal.SIGKILL)
        super().end()
