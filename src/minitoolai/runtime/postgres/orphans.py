"""What an earlier server may have left: processes still ending, and files that name a pid which may be anyone's now."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from pathlib import Path

from minitoolai.runtime.postgres.errors import DatabaseStartFailed
from minitoolai.runtime.postgres.lock import open_and_lock
from minitoolai.runtime.postgres.place import SOCKET_NAME, Place

#: A server whose supervisor died ends in 0.1 s, and if a process of it is stuck in 5 s. Where its processes can be
#: found they are killed after this, in seconds (no harm: it is recovering from the log anyhow) …
ENDING_S = 2.0
#: … and elsewhere (no /proc) they get their time, in seconds.
ENDING_UNSEEN_S = 8.0
#: After SIGKILL the kernel needs a moment; more only when a disk hangs.
KILLED_S = 10.0

LOG = logging.getLogger("minitoolai.postgres")


def lock_alive(place: Place) -> int:
    """A descriptor that holds the `alive` lock, to be inherited by the server; waits for an earlier one to end.

    The caller holds the supervisor's lock. When both are ours no process of this database is left, whatever pids its
    files name, so those files are removed here. Raises `DatabaseStartFailed` when something does not end.
    """
    path = place.control / "alive"
    descriptor = open_and_lock(path)
    if descriptor is None:
        LOG.info("an earlier database server is still ending; waiting for it")
        descriptor = _wait_for(path, ENDING_S if sys.platform == "linux" else ENDING_UNSEEN_S)
    if descriptor is None:
        left = processes_in(place.data)
        LOG.warning("ending %d processes that an earlier database server left", len(left))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        descriptor = _wait_for(path, KILLED_S)
    if descriptor is None:
        raise DatabaseStartFailed(
            f"processes of an earlier database server still use {place.data}: end them (`lsof {path}` names them), "
            "then start again"
        )
    try:
        _remove_stale(place)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def processes_in(folder: Path) -> list[int]:
    """The processes that run in this folder, as all of PostgreSQL's do in their data; empty where there is no /proc."""
    found: list[int] = []
    if sys.platform != "linux":
        return found
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == folder and "postgres" in (entry / "exe").readlink().name:
                    found.append(int(entry.name))
    return found


def _remove_stale(place: Place) -> None:
    """Remove pid files; PostgreSQL believes any living pid in them and would refuse to start."""
    strangers = processes_in(place.data)
    if strangers:
        raise DatabaseStartFailed(
            f"a PostgreSQL server that is not ours (process {strangers[0]}) runs in {place.data}: stop it, then start again"
        )
    for path in (
        place.data / "postmaster.pid",
        place.socket / SOCKET_NAME,
        place.socket / f"{SOCKET_NAME}.lock",
    ):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _wait_for(path: Path, limit_s: float) -> int | None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        descriptor = open_and_lock(path)
        if descriptor is not None:
            return descriptor
        time.sleep(0.05)
    return None
