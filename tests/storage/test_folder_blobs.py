"""Files in a folder of this machine: whole or not there, on the disk before it is said, and its owner's alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.storage.folder_blobs import FolderBlobs
from tests.support.clients import PATIENCE_S

NAME = "pictures/2026-11-25/1234567890-1.png"
PNG = "image/png"
#: Bytes of a file of the killed program: several milliseconds' writing.
_LARGE = 8_000_000
_ENDLESS = f"""
import asyncio, itertools, pathlib, sys
from minitoolai.storage.folder_blobs import FolderBlobs

async def main():
    blobs = FolderBlobs(pathlib.Path(sys.argv[1]))
    for number in itertools.count(int(sys.argv[2])):
        await blobs.put(f"pictures/2026-11-25/{{number}}.png", bytes([number % 256]) * {_LARGE}, "image/png")
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the files are."""
    return tmp_path / "files"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    if os.geteuid() != 0:
        pytest.skip("a file system for the test needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_nobody_else_reads_them(root: Path) -> None:
    """Folders are 0700 and files 0600, whatever the process's umask."""
    before = os.umask(0)
    try:
        await FolderBlobs(root).put(NAME, b"x", PNG)
    finally:
        os.umask(before)
    assert _modes(root) == {
        ".": 0o700, ".incoming": 0o700, "pictures": 0o700, "pictures/2026-11-25": 0o700, NAME: 0o600,
    }  # fmt: skip


async def test_it_is_on_the_disk_before_it_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the bytes, then the name, then every folder on the way to it: a lost current takes nothing back."""
    real, synced = os.fsync, list[tuple[str, bool]]()

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}")).relative_to(root).as_posix()
        synced.append((path.partition("/")[0] if path.startswith(".incoming/") else path, (root / NAME).exists()))
        real(descriptor)

    blobs = FolderBlobs(root)
    monkeypatch.setattr(os, "fsync", fsync)
    await blobs.put(NAME, b"x", PNG)
    assert synced == [(".incoming", False), ("pictures/2026-11-25", True), ("pictures", True), (".", True)]


async def test_a_file_that_is_taken_is_as_safe(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same disk it is not copied; its bytes are on the disk before it has its name, and it is its owner's alone."""
    source = tmp_path / "source"
    source.write_bytes(b"long")
    source.chmod(0o644)
    inode, real, synced = source.stat().st_ino, os.fsync, list[tuple[int, bool]]()

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, (root / NAME).exists()))
        real(descriptor)

    blobs = FolderBlobs(root)
    monkeypatch.setattr(os, "fsync", fsync)
    await blobs.put_file(NAME, source, PNG)
    assert synced[0] == (inode, False)
    assert len(synced) == 4
    assert ((root / NAME).stat().st_ino, _modes(root)[NAME], source.exists()) == (inode, 0o600, False)


async def test_a_file_of_another_disk_is_copied(root: Path, small_disk: Path) -> None:
    """Nothing else is known of it; one that is gone is the store's failure, and leaves nothing."""
    source = small_disk / "source"
    source.write_bytes(b"x" * 100_000)
    blobs = FolderBlobs(root)
    await blobs.put_file(NAME, source, PNG)
    assert await blobs.get(NAME) == b"x" * 100_000
    with pytest.raises(StorageUnavailable):
        await blobs.put_file(NAME, small_disk / "gone", PNG)
    full = FolderBlobs(small_disk / "files")
    large = root.parent / "large"
    large.write_bytes(b"y" * 200_000)
    with pytest.raises(StorageUnavailable):
        await full.put_file(NAME, large, PNG)
    assert [list((each / ".incoming").iterdir()) for each in (root, small_disk / "files")] == [[], []]
    assert await full.get(NAME) is None


async def test_a_killed_process_leaves_no_part_of_a_file(root: Path) -> None:
    """Killed again and again while it writes: every file under a name is whole, and what it confirmed is there."""
    for turn in range(6):
        confirmed = _killed_writer(root, first=turn * 1000, after=turn + 1)
        blobs = FolderBlobs(root)
        names = await blobs.list_before("pictures", "2026-11-26", 1000)
        assert {f"pictures/2026-11-25/{number}.png" for number in confirmed} <= set(names)
        for name in names:
            number = int(name.rsplit("/", 1)[1].removesuffix(".png"))
            assert await blobs.get(name) == bytes([number % 256]) * _LARGE
        await blobs.delete(names)


async def test_what_a_dead_process_left_is_cleared(root: Path) -> None:
    """At the next start, once no living process can be at it."""
    await FolderBlobs(root).put(NAME, b"x", PNG)
    old, new = root / ".incoming" / "old", root / ".incoming" / "new"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    blobs = FolderBlobs(root)
    assert list((root / ".incoming").iterdir()) == [new]
    assert await blobs.get(NAME) == b"x"


async def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file that does not fit fails, the others stay, and there is room again once some are deleted."""
    blobs = FolderBlobs(small_disk / "files")
    await blobs.put(NAME, b"x" * 100_000, PNG)
    other = NAME.replace("1.png", "2.png")
    with pytest.raises(StorageUnavailable):
        await blobs.put(other, b"y" * 200_000, PNG)
    assert "files cannot be written: No space left on device" in caplog.text
    assert await blobs.get(other) is None
    assert await blobs.list_before("pictures", "2026-11-26", 10) == [NAME]
    assert list((small_disk / "files" / ".incoming").iterdir()) == []
    await blobs.delete([NAME])
    await blobs.put(other, b"y" * 200_000, PNG)
    assert await blobs.size(other) == 200_000


async def test_a_folder_that_cannot_be_written_fails(root: Path) -> None:
    """A file in the folder's place, which stops root too; nothing is left of what was to be written."""
    blobs = FolderBlobs(root)
    (root / "pictures").write_text("in the way")
    with pytest.raises(StorageUnavailable):
        await blobs.put(NAME, b"x", PNG)
    assert list((root / ".incoming").iterdir()) == []


async def test_a_days_folder_goes_with_its_last_file(root: Path) -> None:
    """Retention leaves no empty folders behind, and the store itself stays."""
    blobs = FolderBlobs(root)
    await blobs.put(NAME, b"x", PNG)
    await blobs.delete([NAME])
    assert set(_modes(root)) == {".", ".incoming"}


async def test_files_are_put_while_the_last_one_is_deleted(root: Path) -> None:
    """A folder that is removed in the moment in which a file is to come into it is made anew."""
    one, other = FolderBlobs(root), FolderBlobs(root)

    async def put() -> None:
        for number in range(60):
            await one.put(f"pictures/2026-11-25/{number}.png", b"x", PNG)

    async def delete() -> None:
        for number in range(60):
            while await other.size(f"pictures/2026-11-25/{number}.png") is None:
                await asyncio.sleep(0)
            await other.delete([f"pictures/2026-11-25/{number}.png"])

    await asyncio.gather(put(), delete())
    assert await one.list_before("pictures", "2026-11-26", 100) == []


def _modes(root: Path) -> dict[str, int]:
    """Return the permissions of `root` and of everything in it."""
    return {path.relative_to(root).as_posix(): path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")]}


def _killed_writer(root: Path, *, first: int, after: int) -> list[int]:
    """Let a process write files `first`, `first + 1`, …, and kill it while it writes one, once `after` are confirmed.

    Returns the numbers that it confirmed.
    """
    command = [sys.executable, "-c", _ENDLESS, str(root), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        confirmed = [int(process.stdout.readline()) for _ in range(after)]
        until = time.monotonic() + PATIENCE_S
        while not any((root / ".incoming").iterdir()):
            assert time.monotonic() < until, "nothing is being written"
        process.send_signal(signal.SIGKILL)
        return [*confirmed, *(int(line) for line in process.stdout)]
