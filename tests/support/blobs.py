"""Fakes of where files are kept: in memory, and doing as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from minitoolai.core.errors import ApiError
from minitoolai.core.jobs import StoredFile
from minitoolai.storage.object_blobs import check_name


class FakeBlobs:
    """Files in memory (`services.job_ports.Blobs`)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        #: What the next calls fail with.
        self.failure: ApiError | None = None
        #: What was asked: the method and the name, or the prefix.
        self.asked: list[tuple[str, str]] = []

    async def put(self, name: str, data: bytes, media_type: str) -> None:
        """Keep it."""
        await self._ask("put", name)
        self.files[name] = data

    async def put_file(self, name: str, path: Path, media_type: str) -> None:
        """Keep what is in a file."""
        await self._ask("put_file", name)
        self.files[name] = path.read_bytes()  # noqa: ASYNC240 - a small file of a test
        path.unlink()  # noqa: ASYNC240 - as above

    async def get(self, name: str) -> bytes | None:
        """Return a file."""
        await self._ask("get", name)
        return self.files.get(name)

    async def get_range(self, name: str, start: int, end: int) -> bytes | None:
        """Return a part of one."""
        await self._ask("get_range", name)
        if not 0 <= start < end:
            raise ValueError("no range")
        found = self.files.get(name)
        return None if found is None else found[start:end]

    async def size(self, name: str) -> int | None:
        """Return its bytes."""
        await self._ask("size", name)
        found = self.files.get(name)
        return None if found is None else len(found)

    async def delete(self, names: Sequence[str]) -> None:
        """Forget files."""
        for name in names:
            await self._ask("delete", name)
            self.files.pop(name, None)

    async def list_before(self, prefix: str, day: str, limit: int) -> list[str]:
        """Return names by day."""
        await self._ask("list_before", prefix)
        found = [name for name in self.files if name.startswith(f"{prefix}/") and name.split("/")[-2] < day]
        return sorted(found)[:limit]

    async def _ask(self, method: str, name: str) -> None:
        check_name(name)
        self.asked.append((method, name))
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


class FakeFiles:
    """Which file a job made (`services.job_ports.Files`)."""

    def __init__(self) -> None:
        #: By job.
        self.kept: dict[int, StoredFile] = {}
        #: What the next look-ups fail with.
        self.failure: ApiError | None = None
        #: Jobs that were looked up.
        self.asked: list[int] = []

    async def file(self, job_id: int) -> StoredFile | None:
        """Return what the test says."""
        self.asked.append(job_id)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return self.kept.get(job_id)
