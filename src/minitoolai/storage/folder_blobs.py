"""Files in a folder of this machine, for its owner's eyes only.

A file is written beside the others, brought to the disk, and only then given its name, in one step that is brought to
the disk as well: neither a killed process nor a lost current leaves half a picture under a name.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import obstore
from obstore.store import LocalStore

from minitoolai.storage.object_blobs import ObjectBlobs, check_name, store_failures

#: Where files are written: names of files never begin with a dot.
_INCOMING = ".incoming"
#: Seconds after which a file that never got its name is a dead process's: writing one takes milliseconds.
_ABANDONED_S = 3600.0
#: How often a folder is made anew when the last file in it was deleted in the same moment, and the folder with it.
_TRIES = 3


class FolderBlobs(ObjectBlobs):
    """See `services.job_ports.Blobs`."""

    def __init__(self, root: Path) -> None:
        """Make `root` where it is not there, and clear what dead processes left in it. Raises `OSError`."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()
        self._incoming = self._root / _INCOMING
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        _clear(self._incoming)
        super().__init__(LocalStore(self._root, automatic_cleanup=True))

    async def put(self, name: str, data: bytes, media_type: str) -> None:
        """See `services.job_ports.Blobs`. A folder keeps no media types."""
        check_name(name)
        with store_failures("written"):
            await asyncio.to_thread(self._write, name, data)

    async def put_file(self, name: str, path: Path, media_type: str) -> None:
        """See `services.job_ports.Blobs`. A file of the same disk is taken as it is."""
        check_name(name)
        with store_failures("written"):
            await asyncio.to_thread(self._take, name, path)

    async def delete(self, names: Sequence[str]) -> None:
        """See `services.job_ports.Blobs`. A day's folder goes with its last file."""
        for name in names:
            check_name(name)
        with store_failures("deleted"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, name)

    def _write(self, name: str, data: bytes) -> None:
        written = self._incoming / uuid.uuid4().hex
        try:
            descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            self._publish(written, self._root / name)
        except OSError:
            written.unlink(missing_ok=True)
            raise

    def _take(self, name: str, path: Path) -> None:
        written = self._incoming / uuid.uuid4().hex
        try:
            try:
                path.rename(written)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copyfile(path, written)
            written.chmod(0o600)
            with written.open("rb") as file:
                os.fsync(file.fileno())
            self._publish(written, self._root / name)
        except OSError:
            written.unlink(missing_ok=True)
            raise

    def _publish(self, written: Path, target: Path) -> None:
        folders = [folder for folder in target.parents if folder.is_relative_to(self._root)]
        for attempt in range(1, _TRIES + 1):
            try:
                for folder in reversed(folders):
                    folder.mkdir(mode=0o700, exist_ok=True)
                written.rename(target)
                break
            except FileNotFoundError:
                if attempt == _TRIES:
                    raise
        for folder in folders:  # all of them: another process may have made one, and died before it was on the disk
            with contextlib.suppress(FileNotFoundError):  # the file was deleted in this moment, and the folder with it
                _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(incoming: Path) -> None:
    """Delete what was being written when its process died; others may be writing at this moment."""
    for file in incoming.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - _ABANDONED_S:
                file.unlink()
