"""One job in a worker's hands: done by an engine, kept, and ended in the database, each exactly once.

A job is first worked on; meanwhile it may be taken away at any time. Once what it makes is there, or the attempt has failed,
it ends by itself: nothing interrupts it, and the database's fence says whether it was still ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from minitoolai.core.errors import ApiError, DatabaseUnavailable, InvalidRequest, ModelNotFound, NoEngine
from minitoolai.core.jobs import MAX_FAILURES, ClaimedJob, JobKind, StoredFile
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services.job_ports import Blobs, JobQueue
from minitoolai.services.routing import OTHERS_MAY_DO_BETTER, AnyEngine, AnyModel, Router
from minitoolai.services.routing import Path as EnginePath

#: Pauses after the first and the second failure, in seconds: a child of ours that died is back within them.
RETRY_WAITS_S = (2.0, 10.0)
#: The longest pause that an engine may ask for, in seconds: the job's owner waits as well.
LONGEST_WAIT_S = 60.0
#: Between two tries to tell the database how a job ended, in seconds.
AGAIN_S = 1.0
#: A store that takes longer for one file, in seconds, hangs: object stores give up before, network folders never do.
STORE_S = 60.0
#: And what it takes of a large file each second at least, in bytes: 8 Mbit/s.
STORE_BYTES_PER_S = 1_000_000
#: What owners are told of jobs that were given up.
ENGINE_FAILED = "The engine failed three times. Nothing was charged; send it again."
STORE_FAILED = "It was made and could not be stored, three times. Nothing was charged; send it again."
UNREADABLE = "What was asked of it cannot be read. Nothing was charged; send it again."

#: The fault of the request: it would fail again.
_FINAL = (InvalidRequest, ModelNotFound)

AnyWork = TypeVar("AnyWork")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class InHand:
    """A job that a worker has, from its claim to its end."""

    job: ClaimedJob
    #: How much of the attempt is done, 0 to 1, and whether the database knows it.
    progress: float = 0.0
    told: bool = True
    #: Whether it is done or has failed: it ends by itself.
    ending: bool = False
    #: Whether it is another attempt's, or ended by somebody else.
    lost: bool = False
    #: Whoever works on it; None before its task was made.
    task: asyncio.Task[None] | None = None

    def advanced(self, fraction: float) -> None:
        """Note how much is done."""
        self.progress = min(max(fraction, 0.0), 1.0)
        self.told = False

    def lose(self) -> None:
        """Note that it is not ours any more, and stop working on it."""
        self.lost = True
        self.stop()

    def stop(self) -> None:
        """Stop working on it; one that is ending goes on."""
        if not self.ending and self.task is not None:
            self.task.cancel()


@dataclass(frozen=True, slots=True)
class Product:
    """What an engine made of a job, before it is kept."""

    #: Who made it.
    engine: str
    #: Where files of its kind are kept, and how their names end.
    folder: str
    extension: str
    media_type: str
    #: The file's bytes, or a file of this worker's own that has them.
    content: bytes | Path
    size_bytes: int
    #: Facts of it, for the job's owner.
    result: Mapping[str, int]
    #: Called once it is kept, or never will be.
    let_go: Callable[[], None] = lambda: None


class Unreadable(Exception):
    """What is asked of a job is no request."""


class Maker(Protocol):
    """Who makes what the jobs of one kind ask for."""

    async def make(self, hand: InHand) -> Product:
        """Have an engine do the job in hand, and tell it how much is done. Cancelled, it leaves nothing behind.

        Raises `ApiError`, `Unreadable`.
        """
        ...


def utc_today() -> date:
    """Return the day, in UTC."""
    return datetime.now(UTC).date()


class JobRun:
    """What is done with each job, by one worker."""

    def __init__(
        self,
        makers: Mapping[JobKind, Maker],
        queue: JobQueue,
        blobs: Blobs,
        *,
        today: Callable[[], date] = utc_today,
    ) -> None:
        """`makers`: of the kinds that this worker takes; `today`: in UTC, for the names of files."""
        self._makers = makers
        self._queue = queue
        self._blobs = blobs
        self._today = today

    async def run(self, hand: InHand) -> None:
        """Do a job and end it. Cancelled while it is worked on, it leaves the job as it is."""
        job, clock = hand.job, asyncio.get_running_loop().time
        began = clock()
        why = ENGINE_FAILED
        try:
            product = await self._makers[job.kind].make(hand)
            hand.ending, why = True, STORE_FAILED
            file = await self._keep(job, product)
        except Unreadable:
            log.error("job %d cannot be read", job.id)
            await self._fail(hand, UNREADABLE)
        except _FINAL as failure:
            log.warning("job %d is refused: %s", job.id, failure.code)
            await self._fail(hand, failure.message)
        except ApiError as failure:
            log.warning("attempt %d at job %d failed: %s", job.attempt, job.id, failure.code)
            why = STORE_FAILED if isinstance(failure, StorageUnavailable) else why
            await self._again(hand, why, failure.retry_after_s or 0)
        except Exception:  # the job's boundary: whatever failed, it is tried again or ended
            log.exception("attempt %d at job %d failed", job.attempt, job.id)
            await self._again(hand, why, 0)
        else:
            log.info("job %d was done by %s in %.1f s", job.id, product.engine, clock() - began)
            await self._complete(hand, product, file)

    async def put_back(self, hand: InHand) -> None:
        """Give up an attempt that nothing is wrong with: the job may be claimed again at once."""
        hand.ending = True
        await self._told(lambda: self._queue.put_back(hand.job))

    async def _keep(self, job: ClaimedJob, product: Product) -> StoredFile:
        """Put what was made among the files. Raises `StorageUnavailable`, `TimeoutError`."""
        name = f"{product.folder}/{self._today().isoformat()}/{job.id}-{job.attempt}.{product.extension}"
        try:
            async with asyncio.timeout(STORE_S + product.size_bytes / STORE_BYTES_PER_S):
                if isinstance(product.content, bytes):
                    await self._blobs.put(name, product.content, product.media_type)
                else:
                    await self._blobs.put_file(name, product.content, product.media_type)
        finally:
            product.let_go()
        return StoredFile(name, product.size_bytes)

    async def _complete(self, hand: InHand, product: Product, file: StoredFile) -> None:
        done, doubtful = await self._told(lambda: self._queue.complete(hand.job, product.engine, file, product.result))
        if done:
            return
        if doubtful:
            # An earlier try may have been it, and its answer lost: then the file is the job's. Otherwise it is found by
            # its day, see `job_keeping`.
            log.warning("job %d had ended by the time that the database was back", hand.job.id)
            return
        log.warning("job %d was taken from attempt %d: what it made is thrown away", hand.job.id, hand.job.attempt)
        try:
            async with asyncio.timeout(STORE_S):
                await self._blobs.delete([file.name])
        except (StorageUnavailable, TimeoutError):
            log.warning("the file of attempt %d at job %d is left over", hand.job.attempt, hand.job.id)

    async def _again(self, hand: InHand, why: str, asked_s: float) -> None:
        """Put a job back, or fail it with `why` when it failed too often; `asked_s`: the pause that the failure asks for."""
        hand.ending = True
        job = hand.job
        if job.failures + 1 >= MAX_FAILURES:
            await self._fail(hand, why)
            return
        wait_s = max(RETRY_WAITS_S[job.failures], min(asked_s, LONGEST_WAIT_S))
        await self._told(lambda: self._queue.retry(job, wait_s))

    async def _fail(self, hand: InHand, message: str) -> None:
        hand.ending = True
        await self._told(lambda: self._queue.fail(hand.job, message))

    async def _told(self, write: Callable[[], Awaitable[bool]]) -> tuple[bool, bool]:
        """Tell the database how a job ended, however long it is away; return its answer, and whether an earlier try may have
        been heard and only its answer lost."""
        doubtful = False
        while True:
            try:
                return await write(), doubtful
            except DatabaseUnavailable:
                doubtful = True
                await asyncio.sleep(AGAIN_S)


async def by_first(
    router: Router[AnyModel, AnyEngine],
    model: AnyModel,
    job_id: int,
    work: Callable[[EnginePath[AnyModel, AnyEngine]], Awaitable[AnyWork]],
) -> tuple[str, AnyWork]:
    """Return who of a model's engines did the work, and what came of it: the first that could. Raises `ApiError`."""
    failure: ApiError = NoEngine(param="model", model=model.id, retry_after_s=5)
    for path in router.paths(model):
        visit = path.enter()
        if visit is None:
            continue
        try:
            done = await work(path)
        except StorageUnavailable:  # no place for what the engine makes: not its fault
            visit.left()
            raise
        except ApiError as error:
            visit.failed(error)
            if not isinstance(error, OTHERS_MAY_DO_BETTER):
                raise
            failure = error
            log.warning("engine %s failed job %d: %s", path.engine.name, job_id, error.code)
        except BaseException:
            visit.left()
            raise
        else:
            visit.worked()
            return path.engine.name, done
    raise failure
