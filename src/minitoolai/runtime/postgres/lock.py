"""Locks on files, held as long as a process lives that took or inherited them. No pid is ever believed."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from minitoolai.runtime.postgres.errors import DatabaseStartFailed

#: A lock may be held for a moment by `running_for`, which only looks: try for so long, in seconds.
LOOK_S = 1.0
#: A command may be using the database for a moment: a server waits for it so long, in seconds.
TEMPORARY_S = 60.0


class Lock:
    """A lock file; held from `take` to `free`, and let go by the kernel at our death, however we die."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def take(self, purpose: str) -> None:
        """Take it for "server" or "temporary". Waits for a temporary holder; `DatabaseStartFailed` for another."""
        began = time.monotonic()
        while not self._try(purpose):
            holder = self.purpose()
            if time.monotonic() - began > (TEMPORARY_S if holder == "temporary" else LOOK_S):
                raise DatabaseStartFailed(
                    f"another minitoolai {'command' if holder == 'temporary' else 'server'} uses the database in "
                    f"{self.path.parent}: stop it first, or start this one with another --data-dir"
                )
            time.sleep(0.05)

    def free(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def purpose(self) -> str | None:
        """What its holder holds it for; None when nobody holds it."""
        try:
            with self.path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read().strip() or "server"
        except FileNotFoundError:
            pass
        return None

    def _try(self, purpose: str) -> bool:
        descriptor = open_and_lock(self.path)
        if descriptor is None:
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, purpose.encode())
        self._descriptor = descriptor
        return True


def open_and_lock(path: Path) -> int | None:
    """A descriptor that holds the lock, None when someone else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
