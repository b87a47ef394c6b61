"""Telling webhooks: what is sent, what each answer means, and that nothing ends the loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

import pytest

from minitoolai.core.jobs import MIN_JOB_ID
from minitoolai.core.webhooks import MAX_ATTEMPTS, DueWebhook, headers
from minitoolai.services import webhooks as telling
from minitoolai.services.webhooks import AT_ONCE, Teller, deliver_webhooks
from tests.support.clients import until
from tests.support.told_jobs import ended_job
from tests.support.webhook_fakes import FakeSender, FakeWebhooks

KEY = bytes(range(32))
URL = "https://canary.example/told"
NOW_S = 1_700_000_000


def due(number: int = 0, attempt: int = 1) -> DueWebhook:
    """Return a webhook of one job."""
    return DueWebhook(ended_job(job_id=MIN_JOB_ID + number), URL, attempt)


def teller(webhooks: FakeWebhooks, sender: FakeSender) -> Teller:
    """Return a teller over fakes, at a time that stands still."""
    links = {MIN_JOB_ID: "https://here/x.png"}
    return Teller(webhooks, sender, key=KEY, link=lambda job: links.get(job.id), clock=lambda: NOW_S + 0.9)


@contextlib.asynccontextmanager
async def delivering(webhooks: FakeWebhooks, sender: FakeSender) -> AsyncIterator[asyncio.Task[None]]:
    """The loop, ended at the end."""
    task = asyncio.create_task(deliver_webhooks(teller(webhooks, sender)))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again at once."""
    monkeypatch.setattr(telling, "LOOK_S", 0.0)


async def test_a_message() -> None:
    """It goes to the job's URL, signed over the very bytes that are sent; then nobody is told any more."""
    webhooks, sender = FakeWebhooks(), FakeSender()
    await teller(webhooks, sender).tell(due())
    ((url, sent, body),) = sender.sent
    assert (url, json.loads(body)["image_url"]) == (URL, "https://here/x.png")
    assert sent == headers(KEY, due().job, body, NOW_S)
    assert webhooks.forgotten == [MIN_JOB_ID]


async def test_a_server_that_does_not_know_its_name() -> None:
    """Without a public URL the message has no link."""
    sender = FakeSender()
    await teller(FakeWebhooks(), sender).tell(due(1))
    assert json.loads(sender.sent[0][2])["image_url"] is None


@pytest.mark.parametrize(
    ("answer", "attempt", "forgotten", "words"),
    [
        (204, 1, True, "is told"),
        (200, MAX_ATTEMPTS, True, "is told"),
        (500, 1, False, f"attempt 1 at the webhook of job {MIN_JOB_ID} failed: 500"),
        (302, 2, False, "failed: 302"),
        (None, MAX_ATTEMPTS - 1, False, "failed: no answer"),
        (None, MAX_ATTEMPTS, True, f"is given up after {MAX_ATTEMPTS} attempts: None"),
        (410, 1, True, "is given up after 1 attempts: 410"),
    ],
)
async def test_answers(
    caplog: pytest.LogCaptureFixture, answer: int | None, attempt: int, forgotten: bool, words: str
) -> None:
    """A success, the last attempt and a receiver that is gone for good end it; all else is told again. No URL is logged."""
    webhooks = FakeWebhooks()
    with caplog.at_level(logging.INFO):
        await teller(webhooks, FakeSender([answer])).tell(due(attempt=attempt))
    assert webhooks.forgotten == ([MIN_JOB_ID] if forgotten else [])
    (line,) = caplog.messages
    assert words in line
    assert "canary" not in line


async def test_a_database_that_leaves_after_the_message() -> None:
    """Nothing is lost but the note: the message is told again later."""
    webhooks = FakeWebhooks()
    webhooks.away("forget")
    await teller(webhooks, FakeSender()).tell(due())
    assert webhooks.forgotten == []


async def test_a_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and costs one attempt at one message."""
    webhooks, sender = FakeWebhooks(due(0), due(1)), FakeSender([RuntimeError("a fault"), 200])
    async with delivering(webhooks, sender) as loop:
        await until(lambda: webhooks.forgotten == [MIN_JOB_ID + 1], "the other message told")
        assert not loop.done()
    assert f"telling the webhook of job {MIN_JOB_ID} failed" in caplog.messages


async def test_a_database_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """The loop goes on, whatever a look fails with."""
    webhooks = FakeWebhooks(due())
    webhooks.failures["claim"] = [RuntimeError("a fault")]
    async with delivering(webhooks, FakeSender()):
        await until(lambda: webhooks.forgotten, "told after a fault")
        webhooks.away("claim", 3)
        webhooks.due = [due(1)]
        await until(lambda: len(webhooks.forgotten) == 2, "told after an outage")
    assert caplog.messages == ["looking for webhooks failed"]


async def test_messages_side_by_side() -> None:
    """So many are under way and no more; while one is slow, others go out."""
    webhooks, sender = FakeWebhooks(*map(due, range(AT_ONCE + 5))), FakeSender()
    sender.open.clear()
    async with delivering(webhooks, sender):
        await until(lambda: sender.under_way == AT_ONCE, "all places taken")
        claims = len(webhooks.claims)
        for _ in range(10):
            await asyncio.sleep(0)
        assert (len(webhooks.claims), webhooks.claims[0], len(webhooks.due)) == (claims, AT_ONCE, 5)
        sender.open.set()
        await until(lambda: len(webhooks.forgotten) == AT_ONCE + 5, "all told")
    assert all(0 < most <= AT_ONCE for most in webhooks.claims)


async def test_the_end_of_the_loop() -> None:
    """What is under way is broken off; it is due again, since nobody forgot it."""
    webhooks, sender = FakeWebhooks(due()), FakeSender()
    sender.open.clear()
    async with delivering(webhooks, sender):
        await until(lambda: sender.under_way, "a message under way")
    assert (sender.under_way, webhooks.forgotten) == (0, [])
