"""A child of ours as a test runs it: a real process, its boot document on standard input, its events on standard output."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: Seconds for a connection to say something: an answer takes milliseconds, on a busy machine longer.
PATIENCE_S = 60.0

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdin.write(sys.argv[2].encode() + b"\\n")
child.stdin.flush()
for line in child.stdout:
    if b'"ready"' in line:
        break
print(child.pid, flush=True)
input()
"""


class ChildProcess:
    """A running child."""

    def __init__(self, module: str, boot: object, listens: Path, errors: Path) -> None:
        """`listens`: its Unix socket; `errors`: the file of its standard error."""
        self.socket = listens
        with errors.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream
            )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(boot).encode() + b"\n")
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

    def end(self) -> None:
        """Kill it by its own pid."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def assert_ends_with_its_parent(module: str, boot: object, within_s: float) -> None:
    """A ready child whose parent is killed with -9 ends by itself: nobody is left to stop it."""
    command = [sys.executable, "-c", _PARENT, module, json.dumps(boot)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        parent.wait(within_s)
    deadline = time.monotonic() + within_s
    while _lives(pid):
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
