"""What tests of real processes need: folders a service user can reach, waiting, and whether a process has ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parents[3] / "src"
#: No process of a test may need longer for anything, in seconds.
PATIENCE_S = 20.0


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder with a short path that every user may pass through (pytest's own may not be)."""
    path = Path(tempfile.mkdtemp(prefix="mta-", dir="/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def until(condition: Callable[[], bool], what: str, limit_s: float = PATIENCE_S) -> float:
    """Wait for `condition`; the seconds it took. Fails the test after `limit_s`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit_s:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - began


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped by a lazy init does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


class Script:
    """A Python program in a process of its own, its output in a file; killed at the end of the `with`."""

    def __init__(self, code: str, *arguments: str | Path, python: str = sys.executable, **options: Any) -> None:
        self._out = tempfile.NamedTemporaryFile(prefix="mta-out-")  # noqa: SIM115 - closed in __exit__
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [python, "-c", code, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), *filter(None, sys.path)])},
            **options,
        )

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._out.close()

    @property
    def text(self) -> str:
        """What it has said so far."""
        return Path(self._out.name).read_text()

    def said(self, start: str) -> str:
        """The rest of the first line that starts so; waits for it."""
        until(lambda: self._find(start) is not None or self.process.poll() is not None, f"{start!r} in {self.text}")
        found = self._find(start)
        assert found is not None, self.text
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def _find(self, start: str) -> str | None:
        lines = [line for line in self.text.split("\n")[:-1] if line.startswith(start)]
        return lines[0].removeprefix(start) if lines else None
