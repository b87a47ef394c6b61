"""The pictures child as a test runs it: a real process behind its Unix socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minitoolai.core.picture_wire import REPLY, Verdict, request

#: A start takes 0.2 s on an idle machine, an answer milliseconds; this one may be busy.
PATIENCE_S = 30.0


class PicturesChild:
    """A running child."""

    def __init__(self, folder: Path, boot: object = None) -> None:
        self.socket = folder / "p.sock"
        line = json.dumps({"socket": str(self.socket)} if boot is None else boot).encode()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minitoolai.children.pictures"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def started(self) -> dict[str, Any]:
        """Its `ready` or `failed` event."""
        assert self.process.stdout is not None
        event: dict[str, Any] = json.loads(self.process.stdout.readline())
        return event

    def open(self, sent: bytes) -> socket.socket:
        """Send bytes and read nothing."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(str(self.socket))
        connection.sendall(sent)
        return connection

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
            self.process.kill()
        self.process.wait(PATIENCE_S)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def pictures_child(folder: Path, boot: object = None) -> Iterator[PicturesChild]:
    """A child, ended afterwards."""
    child = PicturesChild(folder, boot)
    try:
        yield child
    finally:
        child.end()
