"""A process stays alive in the ledger's eyes, and closes the books of others only after a grace."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

import pytest

from minitoolai.core.errors import DatabaseUnavailable, ServerError
from minitoolai.services import leases as module
from minitoolai.services.calls import OpenCall, OpenCalls
from minitoolai.services.leases import GRACE_S, RENEW_S, keep_lease
from tests.support.fakes import FakeLedger
from tests.support.loop_time import FakeLoopTime


async def run(ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch, rounds: int, calls: OpenCalls | None = None) -> None:
    """Keep a lease for so many renewals."""
    monkeypatch.setattr(module, "asyncio", FakeLoopTime(rounds))
    with pytest.raises(asyncio.CancelledError):
        await keep_lease(ledger, calls or OpenCalls())


async def test_it_renews_and_sweeps_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is called dead before all had time to renew."""
    ledger = FakeLedger()
    await run(ledger, monkeypatch, 6)
    assert GRACE_S / RENEW_S == 4
    assert ledger.leases == ["renew"] * 4 + ["sweep"] + ["renew", "sweep"] * 2


async def test_it_tells_what_open_calls_have_produced(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each renewal."""
    calls = OpenCalls()
    task: asyncio.Task[object] = asyncio.create_task(asyncio.sleep(0))
    calls.add(OpenCall(UUID(int=1), task, lambda: 42))
    ledger = FakeLedger()
    await run(ledger, monkeypatch, 1, calls)
    assert ledger.renewed == [{UUID(int=1): 42}]
    await task


async def test_a_lapsed_lease_is_begun_anew(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """And said."""
    ledger = FakeLedger()
    ledger.alive = [True, False]
    await run(ledger, monkeypatch, 3)
    assert ledger.leases == ["renew", "renew", "register", "renew"]
    assert "the lease lapsed" in caplog.text


async def test_the_grace_begins_again_after_an_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All leases have lapsed meanwhile; it is said once that the database left, and once that it is back."""
    caplog.set_level(logging.WARNING)
    ledger = FakeLedger()
    ledger.swept = 3
    ledger.alive = [True, True, True, True, DatabaseUnavailable(), DatabaseUnavailable(), True]
    await run(ledger, monkeypatch, 12)
    assert ledger.leases == [*["renew"] * 4, "sweep", *["renew"] * 7, "sweep", "renew", "sweep"][: len(ledger.leases)]
    assert ledger.leases.count("sweep") == 3
    assert [record.message for record in caplog.records if "database" in record.message] == [
        "the database cannot be reached: calls are refused until it is back",
        "the database is back",
    ]
    assert "closed 3 calls" in caplog.text


@pytest.mark.parametrize("failure", [ServerError(), RuntimeError("anything")])
async def test_no_failure_ends_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    """Without a lease every open call would be closed."""
    ledger = FakeLedger()
    ledger.alive = [failure]
    await run(ledger, monkeypatch, 2)
    assert ledger.leases == ["renew", "renew"]
    assert "renewing the lease failed" in caplog.text
