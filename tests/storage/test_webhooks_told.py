"""Webhooks from the database to a site: told once where all goes well, at least once whatever fails, given up in the end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from minitoolai.core.webhooks import MAX_ATTEMPTS, DueWebhook, shown_secret
from minitoolai.integrations.webhooks import RECEIVERS, Sender
from minitoolai.services import webhooks as telling
from minitoolai.services.webhooks import Teller, deliver_webhooks
from minitoolai.storage.webhooks import PgWebhooks
from tests.storage.desk import SEAL, Desk
from tests.storage.job_desk import FILE, Customer, JobDesk
from tests.support.clients import PATIENCE_S, until
from tests.support.websites import SITE, World, world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of Linux alone")
KEY = bytes(range(32))


@dataclass
class Receiver:
    """A site that is told, and what it answers."""

    site: World
    jobs: JobDesk
    who: Customer
    #: What the next messages are answered with, then 200; 0: the connection is broken off.
    statuses: list[int]
    #: Messages that came: their headers and bodies.
    came: list[tuple[dict[str, str], bytes]]
    #: Cleared: messages get no answer yet.
    open: asyncio.Event
    #: Attempts that are over, what became of them noted.
    over: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Receive a message."""
        self.came.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        await self.open.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        if not status:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status or 200, headers={"location": self.site.url("/elsewhere")})

    async def drawn(self) -> int:
        """Have a job drawn that tells this site; return its id."""
        new = await self.jobs.ask(self.who, webhook_url=self.site.url("/told"))
        worker = self.jobs.worker()
        assert await worker.complete(await self.jobs.claimed(worker), "e", FILE, {"seed": 7})
        return new.id

    async def attempts(self) -> list[int]:
        """Return the attempts at each webhook that is still to be told."""
        return [row["attempts"] for row in await self.jobs.desk.sql("SELECT attempts FROM webhooks ORDER BY job_id")]

    async def after(self, attempts: int) -> None:
        """Wait until so many attempts are over."""
        await until(lambda: self.over == attempts, f"attempt {attempts}")

    async def again(self) -> None:
        """Let every wait be over."""
        await self.jobs.desk.sql("UPDATE webhooks SET next_at = now() - interval '1 s'")

    def verify(self, number: int) -> str:
        """Assert that a message is signed for the account, now; return its id."""
        told, body = self.came[number]
        secret = base64.b64decode(shown_secret(KEY, self.who.account).removeprefix("whsec_"))
        signed = f"{told['webhook-id']}.{told['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
        assert told["webhook-signature"] == f"v1,{mac}"
        assert abs(time.time() - int(told["webhook-timestamp"])) < PATIENCE_S
        return told["webhook-id"]


@pytest.fixture
async def receiver(desk: Desk, tmp_path: Path) -> AsyncIterator[Receiver]:
    """A site and a customer."""
    async with world(tmp_path) as site:
        jobs = JobDesk(desk)
        made = Receiver(site, jobs, await jobs.customer(), [], [], asyncio.Event())
        made.open.set()
        site.handler = made.take
        yield made


class CountedTeller(Teller):
    """Counts the attempts that are over."""

    receiver: Receiver

    async def tell(self, due: DueWebhook) -> None:
        """See `Teller`."""
        await super().tell(due)
        self.receiver.over += 1


@contextlib.asynccontextmanager
async def telling_to(receiver: Receiver) -> AsyncIterator[None]:
    """A process that tells, killed at the end: what it has under way goes nowhere."""
    site = receiver.site
    sender = Sender(replace(RECEIVERS, allowed=site.reach.allowed, lookup=site.lookup, tls=site.reach.tls))
    webhooks = PgWebhooks(receiver.jobs.desk.database, SEAL)
    teller = CountedTeller(webhooks, sender, key=KEY, link=lambda job: f"https://here/files/{job.id}.{job.extension}")
    teller.receiver = receiver
    task = asyncio.create_task(deliver_webhooks(teller))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await sender.close()


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again soon."""
    monkeypatch.setattr(telling, "LOOK_S", 0.01)


async def told(receiver: Receiver) -> None:
    """Wait until nothing is left to tell."""

    async def none_left() -> bool:
        return await receiver.attempts() == []

    await until(none_left, "all told")


async def test_a_message(receiver: Receiver) -> None:
    """It comes once, signed, and says how the job ended."""
    async with telling_to(receiver):
        job = await receiver.drawn()
        await told(receiver)
    ((_, body),) = receiver.came
    assert receiver.verify(0) == f"job_{job}"
    assert json.loads(body) == {
        "jobid": job, "status": "success", "image_url": f"https://here/files/{job}.png", "message": "success", "seed": 7,
        "cost": "0.00000001",
    }  # fmt: skip


async def test_two_tellers(receiver: Receiver) -> None:
    """Where nothing fails, several processes tell each job once."""
    async with telling_to(receiver), telling_to(receiver), telling_to(receiver):
        made = [f"job_{await receiver.drawn()}" for _ in range(10)]
        await told(receiver)
    assert sorted(receiver.verify(number) for number in range(len(receiver.came))) == made


@pytest.mark.parametrize("status", [500, 404, 302, 308, 0])
async def test_failures(receiver: Receiver, status: int) -> None:
    """Each is told again under the same id, signed anew; a redirect leads nowhere."""
    receiver.statuses = [status, status]
    async with telling_to(receiver):
        await receiver.drawn()
        for attempt in (1, 2):
            await receiver.after(attempt)
            await asyncio.sleep(0.05)
            assert (await receiver.attempts(), len(receiver.came)) == ([attempt], attempt), "the next is not due yet"
            await receiver.again()
        await told(receiver)
    assert len({receiver.verify(number) for number in range(3)}) == 1
    assert [request.path for request in receiver.site.asked] == ["/told"] * 3


@pytest.mark.parametrize(("status", "attempts"), [(500, MAX_ATTEMPTS), (410, 1)])
async def test_giving_up(receiver: Receiver, status: int, attempts: int) -> None:
    """After the last attempt, or when the receiver says that it is gone, nothing more is sent."""
    receiver.statuses = [status] * 100
    async with telling_to(receiver):
        await receiver.drawn()
        for attempt in range(1, attempts + 1):
            await receiver.after(attempt)
            await receiver.again()
        await told(receiver)
    assert len(receiver.came) == attempts


async def test_a_teller_that_dies(receiver: Receiver) -> None:
    """Between sending and noting it, the message is due again, and comes twice under one id."""
    receiver.open.clear()
    async with telling_to(receiver):
        await receiver.drawn()
        await until(lambda: len(receiver.came) == 1, "a message under way")
    assert await receiver.attempts() == [1]
    receiver.open.set()
    await receiver.again()
    async with telling_to(receiver):
        await told(receiver)
    assert len(receiver.came) == 2
    assert receiver.verify(0) == receiver.verify(1)


async def test_names_that_lead_inside(receiver: Receiver) -> None:
    """Nobody knocks there at any attempt, and a site that comes back to the open Internet is told."""
    receiver.site.answers = [["127.0.0.1"], [SITE, "::1"], [SITE]]
    async with telling_to(receiver):
        await receiver.drawn()
        for attempt in (1, 2):
            await receiver.after(attempt)
            assert (len(receiver.site.names), receiver.came, receiver.site.knocks) == (attempt, [], 0)
            await receiver.again()
        await told(receiver)
    assert (len(receiver.came), receiver.site.knocks) == (1, 0)
