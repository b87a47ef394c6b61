"""One job in a worker's hands: drawn by an engine, kept, and ended in the database, each exactly once.

A job is first drawn; meanwhile it may be taken away at any time. Once its picture is there, or the attempt has failed, it
ends by itself: nothing interrupts it, and the database's fence says whether it was still ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec

from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.core.errors import (
    ApiError,
    DatabaseUnavailable,
    InvalidRequest,
    ModelNotFound,
    NoEngine,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.jobs import MAX_FAILURES, ClaimedJob, StoredFile
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.core.picture_header import PictureHeader, read_header
from minitoolai.core.pictures import PictureRequest
from minitoolai.services.picture_ports import Blobs, JobQueue, PictureEngine
from minitoolai.services.routing import OTHERS_MAY_DO_BETTER, Path, Router

#: Pauses after the first and the second failure, in seconds: a child of ours that died is back within them.
RETRY_WAITS_S = (2.0, 10.0)
#: The longest pause that an engine may ask for, in seconds: the job's owner waits as well.
LONGEST_WAIT_S = 60.0
#: Between two tries to tell the database how a job ended, in seconds.
AGAIN_S = 1.0
#: A store that takes longer for one picture, in seconds, hangs: object stores give up before, network folders never do.
STORE_S = 60.0
#: What owners are told of jobs that were given up.
ENGINE_FAILED = "The engine failed three times. Nothing was charged; send it again."
STORE_FAILED = "The picture was drawn and could not be stored, three times. Nothing was charged; send it again."
UNREADABLE = "What was asked of it cannot be read. Nothing was charged; send it again."

#: The fault of the request: it would fail again.
_FINAL = (InvalidRequest, ModelNotFound)
#: The last chunk of every PNG, empty, with its check sum (PNG, third edition, 11.2.5).
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"

log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(PictureRequest).decode


@dataclass(eq=False)
class InHand:
    """A job that a worker has, from its claim to its end."""

    job: ClaimedJob
    #: How much of the attempt is done, 0 to 1, and whether the database knows it.
    progress: float = 0.0
    told: bool = True
    #: Whether it is drawn or has failed: it ends by itself.
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
        """Note that it is not ours any more, and stop drawing it."""
        self.lost = True
        self.stop()

    def stop(self) -> None:
        """Stop drawing it; one that is ending goes on."""
        if not self.ending and self.task is not None:
            self.task.cancel()


def utc_today() -> date:
    """Return the day, in UTC."""
    return datetime.now(UTC).date()


class JobRun:
    """What is done with each job, by one worker."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router[PictureModel, PictureEngine],
        queue: JobQueue,
        blobs: Blobs,
        *,
        today: Callable[[], date] = utc_today,
    ) -> None:
        """`router` has this worker's engines; `today`: in UTC, for the names of files."""
        self._catalog = catalog
        self._router = router
        self._queue = queue
        self._blobs = blobs
        self._today = today

    async def run(self, hand: InHand) -> None:
        """Draw a job and end it. Cancelled while it is drawn, it leaves the job as it is."""
        job, clock = hand.job, asyncio.get_running_loop().time
        began = clock()
        why = ENGINE_FAILED
        try:
            request = _decode(job.request)
        except msgspec.DecodeError:
            log.error("job %d cannot be read", job.id)
            await self._fail(hand, UNREADABLE)
            return
        try:
            engine, picture = await self._draw(hand, request)
            hand.ending, why = True, STORE_FAILED
            file = StoredFile(f"pictures/{self._today().isoformat()}/{job.id}-{job.attempt}.png", len(picture))
            async with asyncio.timeout(STORE_S):
                await self._blobs.put(file.name, picture, "image/png")
        except _FINAL as failure:
            log.warning("job %d is refused: %s", job.id, failure.code)
            await self._fail(hand, failure.message)
        except ApiError as failure:
            log.warning("attempt %d at job %d failed: %s", job.attempt, job.id, failure.code)
            await self._again(hand, why, failure.retry_after_s or 0)
        except Exception:  # the job's boundary: whatever failed, it is tried again or ended
            log.exception("attempt %d at job %d failed", job.attempt, job.id)
            await self._again(hand, why, 0)
        else:
            log.info("job %d was drawn by %s in %.1f s", job.id, engine, clock() - began)
            await self._complete(hand, engine, file, request.seed)

    async def put_back(self, hand: InHand) -> None:
        """Give up an attempt that nothing is wrong with: the job may be claimed again at once."""
        hand.ending = True
        await self._told(lambda: self._queue.put_back(hand.job))

    async def _draw(self, hand: InHand, request: PictureRequest) -> tuple[str, bytes]:
        """Return who drew the picture, and the picture. Raises `ApiError`."""
        model = self._catalog.picture_model(hand.job.model)
        failure: ApiError = NoEngine(param="model", model=model.id, retry_after_s=5)
        for path in self._router.paths(model):
            visit = path.enter()
            if visit is None:
                continue
            try:
                picture = await _drawn(path, request, hand.advanced)
            except ApiError as error:
                visit.failed(error)
                if not isinstance(error, OTHERS_MAY_DO_BETTER):
                    raise
                failure = error
                log.warning("engine %s failed job %d: %s", path.engine.name, hand.job.id, error.code)
            except BaseException:
                visit.left()
                raise
            else:
                visit.worked()
                return path.engine.name, picture
        raise failure

    async def _complete(self, hand: InHand, engine: str, file: StoredFile, seed: int) -> None:
        done, doubtful = await self._told(lambda: self._queue.complete(hand.job, engine, file, {"seed": seed}))
        if done:
            return
        if doubtful:
            # An earlier try may have been it, and its answer lost: then the picture is the job's. Otherwise it is found by
            # its day, see `job_keeping`.
            log.warning("job %d had ended by the time that the database was back", hand.job.id)
            return
        log.warning("job %d was taken from attempt %d: its picture is thrown away", hand.job.id, hand.job.attempt)
        try:
            async with asyncio.timeout(STORE_S):
                await self._blobs.delete([file.name])
        except (StorageUnavailable, TimeoutError):
            log.warning("the picture of attempt %d at job %d is left over", hand.job.attempt, hand.job.id)

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


async def _drawn(
    path: Path[PictureModel, PictureEngine], request: PictureRequest, progress: Callable[[float], None]
) -> bytes:
    """Return the picture that an engine draws, a PNG of the asked size. Raises `ApiError`."""
    try:
        async with asyncio.timeout(path.engine.total_s):
            picture = await path.engine.draw(path.model, request, progress)
    except TimeoutError as error:
        raise UpstreamTimeout(model=path.model.id) from error
    if read_header(picture) != PictureHeader("png", request.width, request.height) or not picture.endswith(_PNG_END):
        log.error("engine %s gave what is no PNG of %dx%d", path.engine.name, request.width, request.height)
        raise UpstreamError(model=path.model.id)
    return picture
