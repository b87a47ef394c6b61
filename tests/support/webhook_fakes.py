"""Fakes of the ports of webhooks: what is due, and who carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.webhooks import DueWebhook


class FakeWebhooks:
    """Webhooks in memory: claimed ones are not due again."""

    def __init__(self, *due: DueWebhook) -> None:
        self.due = list(due)
        self.claims: list[int] = []
        self.forgotten: list[int] = []
        #: By the name of a method: what its next calls fail with, before they do anything.
        self.failures: dict[str, list[Exception]] = {}

    def away(self, method: str, times: int = 1) -> None:
        """Let the database be away for the next calls of a method."""
        self.failures[method] = [DatabaseUnavailable() for _ in range(times)]

    async def claim(self, most: int) -> list[DueWebhook]:
        """See `services.job_ports.Webhooks`."""
        self.claims.append(most)
        self._fail("claim")
        claimed, self.due = self.due[:most], self.due[most:]
        return claimed

    async def forget(self, job_id: int) -> None:
        """See `services.job_ports.Webhooks`."""
        self._fail("forget")
        self.forgotten.append(job_id)

    def _fail(self, method: str) -> None:
        if self.failures.get(method):
            raise self.failures[method].pop(0)


@dataclass
class FakeSender:
    """Carries messages to a list, and answers as it is told: 200 without orders."""

    answers: list[int | Exception | None] = field(default_factory=list)
    #: Set: messages get their answer; cleared: they are under way.
    open: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    under_way: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        """See `services.job_ports.WebhookSender`."""
        self.sent.append((url, headers, body))
        self.under_way += 1
        try:
            await self.open.wait()
        finally:
            self.under_way -= 1
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer
