"""Telling webhooks that jobs have ended, each at least once: one that is told and whose teller dies is told again.

Several processes may run this at the same time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.jobs import JobView
from minitoolai.core.webhooks import DueWebhook, headers, is_given_up, is_told, message
from minitoolai.services.job_ports import Webhooks, WebhookSender

#: Messages under way at once, of one process.
AT_ONCE = 32
#: Seconds between two looks for webhooks that are due.
LOOK_S = 1.0

log = logging.getLogger(__name__)


class Teller:
    """Tells what is due."""

    def __init__(
        self,
        webhooks: Webhooks,
        sender: WebhookSender,
        *,
        key: bytes,
        link: Callable[[JobView], str | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`key` signs; `link` returns the link to what a job made, None where it is not known how callers find this
        server; `clock` tells the seconds since 1970."""
        self._webhooks = webhooks
        self._sender = sender
        self._key = key
        self._link = link
        self._clock = clock

    async def claim(self, most: int) -> Sequence[DueWebhook]:
        """Return what is to be told now; nothing while the database is away."""
        try:
            return await self._webhooks.claim(most)
        except DatabaseUnavailable:
            return []
        except Exception:  # the loop's boundary: nobody would be told any more
            log.exception("looking for webhooks failed")
            return []

    async def tell(self, due: DueWebhook) -> None:
        """Send one message, and note what became of it."""
        job = due.job
        try:
            body = message(job, self._link(job))
            status = await self._sender.post(due.url, headers(self._key, job, body, int(self._clock())), body)
            if is_told(status):
                log.info("the webhook of job %d is told", job.id)
            elif is_given_up(status, due.attempt):
                log.warning("the webhook of job %d is given up after %d attempts: %s", job.id, due.attempt, status)
            else:
                log.info("attempt %d at the webhook of job %d failed: %s", due.attempt, job.id, status or "no answer")
                return
            await self._webhooks.forget(job.id)
        except DatabaseUnavailable:
            log.warning("the webhook of job %d may be told again: the database is away", job.id)
        except Exception:  # the boundary of one message: it is tried again like one that got no answer
            log.exception("telling the webhook of job %d failed", job.id)


async def deliver_webhooks(teller: Teller) -> None:
    """Tell what is due, for ever."""
    under_way: set[asyncio.Task[None]] = set()
    try:
        while True:
            for due in await teller.claim(AT_ONCE - len(under_way)):
                task = asyncio.create_task(teller.tell(due), name=f"webhook of job {due.job.id}")
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if len(under_way) < AT_ONCE:
                await asyncio.sleep(LOOK_S)
            else:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
