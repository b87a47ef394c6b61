"""The pictures child as a test runs it: a real process behind its Unix socket."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minitoolai.core.picture_wire import REPLY, Verdict, request
from tests.support.child_process import ChildProcess

#: A start takes 0.2 s on an idle machine, an answer milliseconds; this one may be busy.
PATIENCE_S = 30.0


class PicturesChild(ChildProcess):
    """A running child."""

    def __init__(self, folder: Path, boot: object = None) -> None:
        listens = folder / "p.sock"
        document = {"socket": str(listens)} if boot is None else boot
        super().__init__("minitoolai.children.pictures", document, listens, folder / "stderr")

    def ask(self, picture: bytes) -> tuple[Verdict, bytes] | None:
        """Return what becomes of a picture; None: no answer."""
        with self.open(request(picture)) as connection, connection.makefile("rb") as stream:
            head = stream.read(REPLY.size)
            if not head:
                return None
            verdict, size = REPLY.unpack(head)
            return Verdict(verdict), stream.read(size)

    def decoders(self) -> list[int]:
        """Return the pids of the forks at work (Linux)."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def end(self) -> None:
        """Kill it, and its forks, by their pids."""
        if self.process.poll() is None:
            for pid in self.decoders():
                os.kill(pid, signal.SIGKILL)
        super().end()


@contextmanager
def pictures_child(folder: Path, boot: object = None) -> Iterator[PicturesChild]:
    """A child, ended afterwards."""
    child = PicturesChild(folder, boot)
    try:
        yield child
    finally:
        child.end()
