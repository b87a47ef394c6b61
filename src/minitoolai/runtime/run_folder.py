"""The folder of one running program: sockets and what its processes tell each other, gone with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: A Unix socket's whole path has at most 103 bytes (macOS); process id and name here take up to 23.
MAX_FOLDER_BYTES = 80


@contextlib.contextmanager
def run_folder(data_dir: Path) -> Iterator[Path]:
    """A folder for this user alone: in the data folder where the path is short enough for a socket."""
    inside = data_dir.absolute() / "run"
    if len(os.fsencode(inside)) <= MAX_FOLDER_BYTES:
        inside.mkdir(mode=0o700, exist_ok=True)
        for left in inside.iterdir():
            if not _lives(left.name):
                shutil.rmtree(left, ignore_errors=True)
        own = inside / str(os.getpid())  # two programs may share a data folder: servers over a database elsewhere, workers
        own.mkdir(mode=0o700, exist_ok=True)
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
        return
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="minitoolai-", dir=base, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _lives(pid: str) -> bool:
    """Whether `pid` is the number of a process."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
