"""Files of one worker alone, in a folder of this machine, for what is too large for memory before it is kept.

A worker that was killed leaves its files behind. Each worker holds a lock while it lives: the next one to start clears the
folders of those that nobody holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import uuid
from pathlib import Path

from minitoolai.storage.object_blobs import store_failures

#: In the data folder.
DEFAULT_FOLDER = "drafts"

#: Held by a worker while it makes its folder and clears others': milliseconds.
_GATE = ".lock"
#: How the names of workers' locks end.
_LOCK = ".lock"


class DraftFile:
    """See `services.job_ports.Draft`."""

    def __init__(self, path: Path) -> None:
        """Make the file. Raises `OSError`."""
        self.path = path
        self.size_bytes = 0
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    async def write(self, data: bytes, at: int | None = None) -> None:
        """See `services.job_ports.Draft`."""
        place = self.size_bytes if at is None else at
        self.size_bytes = max(self.size_bytes, place + len(data))
        with store_failures("written"):
            await asyncio.to_thread(self._write, data, place)

    def let_go(self) -> None:
        """See `services.job_ports.Draft`."""
        self.path.unlink(missing_ok=True)

    def _write(self, data: bytes, place: int) -> None:
        # Opened anew each time: a write whose job was taken away may still run when the file is let go.
        with self.path.open("r+b") as file:
            file.seek(place)
            file.write(data)


class DraftFolder:
    """See `services.job_ports.Drafts`."""

    def __init__(self, root: Path) -> None:
        """Make a folder of this worker's own in `root`, and clear those of workers that died. Raises `OSError`."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = root / uuid.uuid4().hex
        with (root / _GATE).open("ab") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            for lock in root.glob(f"?*{_LOCK}"):
                _clear(lock)
            # No file object, whose end would be the lock's.
            self._held = os.open(_lock_of(self._folder), os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX)
            self._folder.mkdir(mode=0o700)

    def new(self) -> DraftFile:
        """See `services.job_ports.Drafts`."""
        with store_failures("written"):
            return DraftFile(self._folder / uuid.uuid4().hex)

    def close(self) -> None:
        """Delete the folder, and all that is left in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        _lock_of(self._folder).unlink(missing_ok=True)
        os.close(self._held)


def _clear(lock: Path) -> None:
    """Delete the folder of a worker that died: nobody holds its lock."""
    with contextlib.suppress(BlockingIOError), lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_LOCK}")
