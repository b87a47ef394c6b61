"""What is heard of jobs: one that waits for an engine, one that has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict

from minitoolai.storage.database import Database
from minitoolai.storage.listening import listen

CHANNEL = "minitoolai_jobs"


class PgJobNews:
    """Wakes those who wait for news of jobs. What was missed while nobody listened wakes everybody."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    async def ended(self, job_id: int, timeout_s: float) -> None:
        """Return when a job may have ended, at the latest after `timeout_s`: its state is to be looked at then."""
        await self._wait(f"ended {job_id}", timeout_s)

    async def queued(self, engine: str, timeout_s: float) -> None:
        """Return when a job may wait for an engine, at the latest after `timeout_s`."""
        await self._wait(f"queued {engine}", timeout_s)

    async def listen(self) -> None:
        """Hear what the database tells, for ever."""
        await listen(self._database.url, CHANNEL, self._heard)

    def wake(self) -> None:
        """Wake everybody."""
        self._heard(None)

    def _heard(self, message: str | None) -> None:
        heard = [message] if message is not None else list(self._waiting)
        for news in heard:
            for event in self._waiting.get(news, ()):
                event.set()

    async def _wait(self, news: str, timeout_s: float) -> None:
        event = asyncio.Event()
        self._waiting[news].add(event)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await event.wait()
        finally:
            self._waiting[news].discard(event)
            if not self._waiting[news]:
                del self._waiting[news]
