"""Files of one worker alone: written piece by piece, and gone with it, however it ended."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.storage.drafts import DraftFolder

_HOLDS_ONE = """
import pathlib, sys, time
from minitoolai.storage.drafts import DraftFolder

draft = DraftFolder(pathlib.Path(sys.argv[1])).new()
draft.path.write_bytes(b"x" * 1000)
print("ready", flush=True)
time.sleep(600)
"""


def left(root: Path) -> list[str]:
    """Return the names of all files, without those that are locks."""
    return sorted(file.name for file in root.rglob("*") if file.is_file() and not file.name.endswith(".lock"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DraftFolder]:
    """A worker's folder."""
    made = DraftFolder(tmp_path / "drafts")
    yield made
    made.close()


async def test_a_draft_grows_and_may_be_mended(folder: DraftFolder) -> None:
    """At its end, and in places that stand already; its size is that of the file, and it is its owner's alone."""
    draft = folder.new()
    assert (draft.size_bytes, draft.path.read_bytes()) == (0, b"")
    for piece in (b"abc", b"", b"defgh"):
        await draft.write(piece)
    await draft.write(b"BC", 1)
    await draft.write(b"HI", 7)
    assert draft.path.read_bytes() == b"aBCdefgHI"
    assert draft.size_bytes == 9
    assert draft.path.stat().st_mode & 0o777 == 0o600
    assert draft.path.parent.stat().st_mode & 0o777 == 0o700


async def test_what_is_let_go_is_gone(folder: DraftFolder, tmp_path: Path) -> None:
    """Twice is no failure; a write that comes after it is one, and brings nothing back."""
    draft = folder.new()
    await draft.write(b"abc")
    draft.let_go()
    draft.let_go()
    with pytest.raises(StorageUnavailable):
        await draft.write(b"def")
    assert left(tmp_path) == []


async def test_a_write_that_is_interrupted_harms_nobody(folder: DraftFolder, tmp_path: Path) -> None:
    """Its job was taken away in the middle of it: the file goes all the same, and the next one has its own bytes only."""
    first = folder.new()
    writing = asyncio.create_task(first.write(bytes(4_000_000)))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    first.let_go()
    second = folder.new()
    await second.write(b"mine")
    assert second.path.read_bytes() == b"mine"
    assert left(tmp_path) == [second.path.name]


async def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """Is the store's failure, for a new file and for one that grows."""
    folder = DraftFolder(tmp_path / "drafts")
    draft = folder.new()
    folder.close()
    for failing in (folder.new, lambda: asyncio.run(draft.write(b"x"))):
        with pytest.raises(StorageUnavailable):
            await asyncio.to_thread(failing)


async def test_a_worker_that_ends_leaves_nothing(tmp_path: Path) -> None:
    """Neither its files nor its lock; another one's stay."""
    one, other = DraftFolder(tmp_path / "drafts"), DraftFolder(tmp_path / "drafts")
    one.new()
    kept = other.new()
    one.close()
    assert left(tmp_path) == [kept.path.name]
    other.close()
    assert [file.name for file in (tmp_path / "drafts").iterdir()] == [".lock"]


def test_what_a_killed_worker_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    """At once, however young it is; what another worker writes at that moment stays."""
    root = tmp_path / "drafts"
    killed, lives = (
        subprocess.Popen([sys.executable, "-c", _HOLDS_ONE, str(root)], stdout=subprocess.PIPE) for _ in range(2)
    )
    try:
        for process in (killed, lives):
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        assert len(left(root)) == 2
        killed.send_signal(signal.SIGKILL)
        killed.wait(20)
        assert len(left(root)) == 2
        DraftFolder(root).close()
        assert len(left(root)) == 1
    finally:
        for process in (killed, lives):
            process.kill()
            process.wait(20)
            assert process.stdout is not None
            process.stdout.close()
    DraftFolder(root).close()
    assert left(root) == []
