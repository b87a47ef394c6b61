"""Fakes of the queue of jobs and its news, which keep their promises in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.jobs import MAX_FAILURES, MIN_JOB_ID, ClaimedJob, JobKind, JobState, StoredFile
from minitoolai.core.pictures import PictureRequest
from minitoolai.core.speech import SpeechRequest
from tests.support.picture_fakes import ASKED


class FakeJobQueue:
    """A queue in memory, with the database's fences; it fails as the test says."""

    def __init__(self) -> None:
        self.waiting: list[ClaimedJob] = []
        #: Jobs in the worker's hands, by id: the attempt that is theirs.
        self.attempts: dict[int, int] = {}
        self.states: dict[int, JobState] = {}
        self.messages: dict[int, str] = {}
        self.files: dict[int, StoredFile] = {}
        self.results: dict[int, Mapping[str, int]] = {}
        self.engines: dict[int, str] = {}
        #: The pauses of the jobs that were put back.
        self.pauses: list[tuple[int, float]] = []
        self.claims: list[tuple[str, JobKind, int]] = []
        self.renewed: list[dict[tuple[int, int], float]] = []
        #: By the name of a method: what its next calls fail with, before they do anything.
        self.failures: dict[str, list[Exception]] = {}
        #: By the name of a method: the answers of so many of its next calls are lost.
        self.unheard: Counter[str] = Counter()
        self.sweeps: list[float] = []
        self.swept = (0, 0)
        self.outlive: list[tuple[int, StoredFile | None]] = []
        #: Files that jobs have, as they are asked for by name.
        self.kept: set[str] = set()
        self.forgotten: list[int] = []
        self._last = MIN_JOB_ID

    def add(
        self,
        *,
        model: str = "m",
        engine: str = "e",
        asked: PictureRequest | SpeechRequest = ASKED,
        attempt: int = 0,
        failures: int = 0,
    ) -> ClaimedJob:
        """Put a job into the queue that had so many attempts and failures; return it as its next attempt will be."""
        self._last += 1
        job = ClaimedJob(
            self._last,
            UUID(int=self._last),
            JobKind.PICTURE if isinstance(asked, PictureRequest) else JobKind.SPEECH,
            attempt + 1,
            model,
            engine,
            msgspec.json.encode(asked),
            datetime.now(UTC),
            failures,
        )
        self.waiting.append(job)
        self.states[job.id] = JobState.QUEUED
        return job

    def take(self, job: ClaimedJob) -> None:
        """Let somebody else have it."""
        self.attempts[job.id] = job.attempt + 1

    async def claim(self, engine: str, kind: JobKind, most: int) -> Sequence[ClaimedJob]:
        """Take jobs."""
        self.claims.append((engine, kind, most))
        await self._fails("claim")
        jobs = [job for job in self.waiting if (job.engine, job.kind) == (engine, kind)][:most]
        for job in jobs:
            self.waiting.remove(job)
            self.attempts[job.id], self.states[job.id] = job.attempt, JobState.RUNNING
        return jobs

    async def renew(self, progress: Mapping[tuple[int, int], float]) -> set[int]:
        """Keep jobs."""
        self.renewed.append(dict(progress))
        await self._fails("renew")
        return {job for job, attempt in progress if self.attempts.get(job) != attempt}

    async def complete(self, job: ClaimedJob, engine: str, file: StoredFile, result: Mapping[str, int]) -> bool:
        """End a job with what it made."""
        await self._fails("complete")
        if not self._end(job, JobState.SUCCEEDED):
            return False
        self.files[job.id], self.results[job.id], self.engines[job.id] = file, result, engine
        return self._heard("complete")

    async def retry(self, job: ClaimedJob, wait_s: float) -> bool:
        """Put a job back."""
        await self._fails("retry")
        if job.failures + 1 >= MAX_FAILURES or not self._end(job, JobState.QUEUED):
            return False
        self.pauses.append((job.id, wait_s))
        self.waiting.append(msgspec.structs.replace(job, attempt=job.attempt + 1, failures=job.failures + 1))
        return self._heard("retry")

    async def put_back(self, job: ClaimedJob) -> bool:
        """Put a job back that did not fail."""
        await self._fails("put_back")
        if not self._end(job, JobState.QUEUED):
            return False
        self.pauses.append((job.id, 0.0))
        self.waiting.append(msgspec.structs.replace(job, attempt=job.attempt + 1))
        return self._heard("put_back")

    async def fail(self, job: ClaimedJob, message: str) -> bool:
        """End a job without."""
        await self._fails("fail")
        if not self._end(job, JobState.FAILED):
            return False
        self.messages[job.id] = message
        return self._heard("fail")

    async def sweep(self, max_wait_s: float) -> tuple[int, int]:
        """Say what the test says."""
        self.sweeps.append(max_wait_s)
        await self._fails("sweep")
        return self.swept

    async def outlived(self, retention_s: float, most: int) -> Sequence[tuple[int, StoredFile | None]]:
        """Return what is not forgotten yet of what the test says."""
        await self._fails("outlived")
        return [each for each in self.outlive if each[0] not in self.forgotten][:most]

    async def known(self, names: Sequence[str]) -> set[str]:
        """Find those that jobs have."""
        await self._fails("known")
        return self.kept & set(names)

    async def forget(self, job_ids: Sequence[int]) -> None:
        """Erase jobs."""
        await self._fails("forget")
        self.forgotten += job_ids

    async def depths(self) -> Mapping[tuple[str, str], int]:
        """Count the jobs that wait."""
        await self._fails("depths")
        return Counter((job.engine, "queued") for job in self.waiting)

    async def _fails(self, method: str) -> None:
        await asyncio.sleep(0)
        if self.failures.get(method):
            raise self.failures[method].pop(0)

    def _end(self, job: ClaimedJob, state: JobState) -> bool:
        if self.attempts.get(job.id) != job.attempt:
            return False
        del self.attempts[job.id]
        self.states[job.id] = state
        return True

    def _heard(self, method: str) -> bool:
        if self.unheard[method] > 0:
            self.unheard[method] -= 1
            raise DatabaseUnavailable(retry_after_s=2)
        return True


class FakeJobNews:
    """News that come when the test tells them."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        #: Engines that were waited for.
        self.asked: list[str] = []

    def tell(self) -> None:
        """Wake all that wait."""
        self._told.set()
        self._told = asyncio.Event()

    async def ended(self, job_id: int, timeout_s: float) -> None:
        """Wait for the test."""
        await self._told.wait()

    async def queued(self, engine: str, timeout_s: float) -> None:
        """Wait for the test."""
        self.asked.append(engine)
        await self._told.wait()
