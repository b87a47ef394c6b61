"""What the use cases of jobs need from outside: their queue, where what they make is kept, and who is told of their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

from minitoolai.core.jobs import ClaimedJob, Created, JobKind, JobView, NewJob, StoredFile
from minitoolai.core.webhooks import DueWebhook
from minitoolai.services.ports import Engine


class JobEngine(Engine, Protocol):
    """Something that does jobs."""

    #: Jobs done side by side; more wait.
    parallel: int


class Blobs(Protocol):
    """Where files are kept: a folder, or an object store. Names are the server's own, as `pictures/2026-11-25/…`.

    Every method raises `StorageUnavailable` where the store cannot be reached or refuses, and `ValueError` for what is
    no name.
    """

    async def put(self, name: str, data: bytes, media_type: str) -> None:
        """Keep `data` for good: once this returns it is there, whatever dies. There is never a part of it."""
        ...

    async def put_file(self, name: str, path: Path, media_type: str) -> None:
        """Keep what is in the file at `path`, as `put`, however large it is; afterwards the file may be gone."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return a file, or None where there is none of that name."""
        ...

    async def get_range(self, name: str, start: int, end: int) -> bytes | None:
        """Return the bytes from `start` up to, without, `end`, both within the file; or None as `get`."""
        ...

    async def size(self, name: str) -> int | None:
        """Return the bytes of a file, or None as `get`."""
        ...

    async def delete(self, names: Sequence[str]) -> None:
        """Delete files; those that are not there are no failure."""
        ...

    async def list_before(self, prefix: str, day: str, limit: int) -> list[str]:
        """Return names in the folders of days (`2026-11-25`) below `prefix` that come before `day`: the oldest days'
        first, at most `limit`."""
        ...


class Draft(Protocol):
    """A file of this worker's own, which grows until it is kept among the `Blobs`, or let go."""

    path: Path
    size_bytes: int

    async def write(self, data: bytes, at: int | None = None) -> None:
        """Write at the end, or over what stands at a place. Raises `StorageUnavailable`."""
        ...

    def let_go(self) -> None:
        """Delete it, where it is still there; it may be called twice."""
        ...


class Drafts(Protocol):
    """Where a worker writes what is too large for memory. What a worker that died left there goes by itself."""

    def new(self) -> Draft:
        """Return an empty file. Raises `StorageUnavailable`."""
        ...


class Files(Protocol):
    """Where it is known which file a job made."""

    async def file(self, job_id: int) -> StoredFile | None:
        """Return where what the job made is among the `Blobs`; None where that is nothing (yet, or any more).

        Raises `DatabaseUnavailable`.
        """
        ...


class Jobs(Protocol):
    """The jobs of all accounts, as their owners see them."""

    async def create(self, new: NewJob) -> Created:
        """Hold the job's price and put it into the queue, or neither. Raises `DatabaseUnavailable`."""
        ...

    async def find(self, job_id: int) -> JobView | None:
        """Return how a job stands, or None. Raises `DatabaseUnavailable`."""
        ...

    async def cancel(self, job_id: int, why: str) -> bool:
        """Cancel a job that has not ended: its hold is released, and whoever works on it stops. Whether it was so."""
        ...

    async def undo(self, job_id: int, call_id: UUID, why: str) -> bool | None:
        """Cancel the job of a call that nobody waits for any more, unless the call was repeated and given the job again.

        Whether it was so; None: the call has no such job, or not yet. Raises `DatabaseUnavailable`.
        """
        ...


class JobQueue(Protocol):
    """The queue of jobs, as one worker sees it. Everything raises `DatabaseUnavailable`."""

    async def claim(self, engine: str, kind: JobKind, most: int) -> Sequence[ClaimedJob]:
        """Take up to `most` jobs of a kind of an engine, in the order of the queue."""
        ...

    async def renew(self, progress: Mapping[tuple[int, int], float]) -> set[int]:
        """Keep the jobs in hand, by id and attempt, and note how much of each is done; return those that are lost."""
        ...

    async def complete(self, job: ClaimedJob, engine: str, file: StoredFile, result: Mapping[str, int]) -> bool:
        """Note where what a job made is and charge it, both or neither; False: the job is not this attempt's any more."""
        ...

    async def retry(self, job: ClaimedJob, wait_s: float) -> bool:
        """Put a job back after an attempt that failed; False: it is not ours any more, or failed too often."""
        ...

    async def put_back(self, job: ClaimedJob) -> bool:
        """Put a job back that nothing is wrong with, for whoever comes; False: it is not ours any more."""
        ...

    async def fail(self, job: ClaimedJob, message: str) -> bool:
        """End a job that cannot succeed, with nothing charged; False: it is not ours any more."""
        ...

    async def sweep(self, max_wait_s: float) -> tuple[int, int]:
        """Put back the jobs of dead workers, fail those that cannot be tried again or waited too long; how many of each."""
        ...

    async def outlived(self, retention_s: float, most: int) -> Sequence[tuple[int, StoredFile | None]]:
        """Return jobs that ended longer ago than they are kept, and what they made, the oldest first."""
        ...

    async def known(self, names: Sequence[str]) -> set[str]:
        """Return which of these files are those of jobs."""
        ...

    async def forget(self, job_ids: Sequence[int]) -> None:
        """Erase jobs that have ended."""
        ...

    async def depths(self) -> Mapping[tuple[str, str], int]:
        """Return how many jobs wait or run, by engine and state."""
        ...


class JobNews(Protocol):
    """Who is woken when something happens to jobs."""

    async def ended(self, job_id: int, timeout_s: float) -> None:
        """Return when a job may have ended, at the latest after `timeout_s`: its state is to be looked at then."""
        ...

    async def queued(self, engine: str, timeout_s: float) -> None:
        """Return when a job may wait for an engine, at the latest after `timeout_s`."""
        ...


class Webhooks(Protocol):
    """What is to be told of jobs that have ended. Everything raises `DatabaseUnavailable`."""

    async def claim(self, most: int) -> Sequence[DueWebhook]:
        """Return up to `most` webhooks that are to be told now; each is due again later, unless it is forgotten."""
        ...

    async def forget(self, job_id: int) -> None:
        """Tell a job's end no more: it is told, or given up."""
        ...


class WebhookSender(Protocol):
    """Who carries messages to webhooks."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        """Send a message; return the status that was answered, None where there was no answer in time."""
        ...
