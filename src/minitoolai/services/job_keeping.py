"""Keeping jobs: the leases of those in hand, those whose worker died, and those that have been kept long enough.

Each is a loop for ever. Several processes may run each of them at the same time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services.job_ports import Blobs, JobQueue
from minitoolai.services.job_run import InHand, utc_today
from minitoolai.services.picture_maker import FOLDER as PICTURES
from minitoolai.services.speech_maker import FOLDER as SPEECH

#: How often what is done of jobs is told, and the longest time between two renewals: a lease of 15 s survives two that fail.
TELL_S = 1.0
RENEW_S = 5.0
#: How often the jobs of dead workers are looked for: with the lease they start elsewhere within 20 s.
SWEEP_S = 5.0
#: After an outage everybody's lease has lapsed: nobody is called dead before all had time to renew.
GRACE_S = 20.0
#: How often jobs are forgotten, and how soon again where there are more than one batch takes.
FORGET_S = 60.0
FORGET_MORE_S = 1.0
#: Jobs, or files, of one batch: a short transaction, and one request to most stores of files.
BATCH = 200
#: How often files that no job knows of are looked for: listing costs money in some stores.
LEFT_OVER_S = 3600.0
#: Where jobs keep what they made, by day.
FOLDERS = (PICTURES, SPEECH)

log = logging.getLogger(__name__)


async def keep_jobs(queue: JobQueue, in_hand: Callable[[], Sequence[InHand]]) -> None:
    """Renew the leases of the jobs in hand and tell how much of each is done; those that are lost are stopped."""
    loop = asyncio.get_running_loop()
    renewed = loop.time()
    while True:
        await asyncio.sleep(TELL_S)
        hands = in_hand()
        if loop.time() - renewed < RENEW_S and all(hand.told for hand in hands):
            continue
        renewed = loop.time()
        for hand in hands:
            hand.told = True
        try:
            lost = await queue.renew({(hand.job.id, hand.job.attempt): hand.progress for hand in hands})
        except DatabaseUnavailable:
            continue
        except Exception:  # the loop's boundary: without leases every job would be given to others
            log.exception("renewing the leases of %d jobs failed", len(hands))
            continue
        for hand in hands:
            if hand.job.id in lost and not hand.ending:
                log.info("job %d is cancelled, or not ours any more", hand.job.id)
                hand.lose()


async def sweep_jobs(queue: JobQueue, max_wait_s: float) -> None:
    """Put back the jobs of dead workers, and end those that wait longer than `max_wait_s`."""
    loop = asyncio.get_running_loop()
    reachable_since: float | None = loop.time()
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            if reachable_since is None:
                await queue.depths()
                reachable_since = loop.time()
            if loop.time() - reachable_since < GRACE_S:
                continue
            again, failed = await queue.sweep(max_wait_s)
        except DatabaseUnavailable:
            reachable_since = None
        except Exception:  # the loop's boundary: holds of jobs would stand for ever
            log.exception("sweeping jobs failed")
        else:
            if again or failed:
                log.warning("%d jobs of dead workers were put back, %d jobs were given up", again, failed)


async def forget_jobs(queue: JobQueue, blobs: Blobs, retention_s: float, today: Callable[[], date] = utc_today) -> None:
    """Delete jobs that ended longer ago than `retention_s`, and what they made, files first: none is left that no job
    knows of. And files that no job ever knew of, by their day. `today`: in UTC."""
    loop = asyncio.get_running_loop()
    look_at = loop.time()
    more = False
    while True:
        await asyncio.sleep(FORGET_MORE_S if more else FORGET_S)
        try:
            more = await _forget(queue, blobs, retention_s)
            if loop.time() >= look_at:
                day = today() - timedelta(seconds=retention_s) - timedelta(days=1)
                left_over = any([await _delete_left_over(queue, blobs, folder, day) for folder in FOLDERS])
                more = more or left_over
                look_at = loop.time() + (0 if left_over else LEFT_OVER_S)
        except (DatabaseUnavailable, StorageUnavailable):
            more = False
        except Exception:  # the loop's boundary: files would be kept for ever
            log.exception("forgetting jobs failed")
            more = False


async def _forget(queue: JobQueue, blobs: Blobs, retention_s: float) -> bool:
    """Delete one batch; whether there may be more."""
    outlived = await queue.outlived(retention_s, BATCH)
    if not outlived:
        return False
    await blobs.delete([file.name for _, file in outlived if file is not None])
    await queue.forget([job for job, _ in outlived])
    log.info("%d jobs were forgotten: their time is over", len(outlived))
    return len(outlived) == BATCH


async def _delete_left_over(queue: JobQueue, blobs: Blobs, folder: str, before: date) -> bool:
    """Delete files in a folder, of days before `before`, that no job knows of, one batch; whether there may be more.

    Days are told by clocks, which may be wrong: a file that a job has stays.
    """
    names = await blobs.list_before(folder, before.isoformat(), BATCH)
    known = await queue.known(names) if names else set()
    left_over = [name for name in names if name not in known]
    if not left_over:
        return False
    await blobs.delete(left_over)
    log.warning("%d files were deleted that no job knew of", len(left_over))
    return len(names) == BATCH
