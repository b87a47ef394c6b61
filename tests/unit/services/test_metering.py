"""A hold ends once, its answer becomes a named error, and no cancelled caller leaves one behind."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

import pytest

from minitoolai.core.errors import (
    AccountSuspended,
    DatabaseUnavailable,
    InsufficientCredit,
    InvalidApiKey,
    KeyLimitReached,
    MiniToolError,
    ServerError,
)
from minitoolai.core.inner_errors import HoldAlreadyResolved
from minitoolai.core.ledger import CallOutcome, HoldAnswer, HoldOutcome, Resolution, Settlement
from minitoolai.core.records import CallFacts
from minitoolai.services import metering as module
from minitoolai.services.metering import Hold, Metering, OpenHolds, new_call_id, settled_soon
from tests.support.fakes import ACCOUNT_ID, KEY_ID, FakeLedger, principal


async def hold(ledger: FakeLedger, wanted: int = 100, least: int | None = None) -> Hold:
    """A hold of the usual caller."""
    least = wanted if least is None else least
    return await Metering(ledger).hold(principal(), new_call_id(), min_nusd=least, wanted_nusd=wanted, model="m", engine="e")


def test_call_ids_are_new_and_in_order() -> None:
    """UUIDs version 7."""
    ids = [new_call_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert {each.version for each in ids} == {7}
    assert ids[0].int >> 80 <= ids[-1].int >> 80


async def test_a_hold_is_what_was_granted() -> None:
    """As much as is there, and what is left."""
    ledger = FakeLedger(150)
    first = await hold(ledger)
    assert (first.granted_nusd, first.available_nusd, first.settled) == (100, 50, False)
    second = await hold(ledger, 100, 10)
    assert (second.granted_nusd, second.available_nusd) == (50, 0)
    (asked, _) = ledger.asked
    assert (asked.account_id, asked.key_id, asked.model, asked.engine) == (ACCOUNT_ID, KEY_ID, "m", "e")


async def test_a_hold_ends_once() -> None:
    """By a capture or by a release; the second time is an error, whatever it says."""
    ledger = FakeLedger(1000)
    first = await hold(ledger)
    settled = await first.settle(Settlement(first.id, 30, CallOutcome.COMPLETED))
    assert (settled.charged_nusd, settled.balance_nusd) == (30, 970)
    assert first.settled
    with pytest.raises(HoldAlreadyResolved):
        first.settle(Settlement(first.id, 50, CallOutcome.COMPLETED))
    with pytest.raises(HoldAlreadyResolved):
        first.release(CallOutcome.FAILED)
    second = await hold(ledger)
    second.release(CallOutcome.FAILED)
    await asyncio.sleep(0)
    assert (ledger.balance, ledger.held, len(ledger.settlements)) == (970, 0, 2)


@pytest.mark.parametrize(
    ("refusal", "error", "text"),
    [
        ("poor", InsufficientCredit, "0.0000001 USD and 0.00000005 USD are available"),
        ("limit", KeyLimitReached, "this key may still spend 0.00000004 USD"),
        ("revoked", InvalidApiKey, "revoked or has expired"),
        ("suspended", AccountSuspended, "suspended"),
    ],
)
async def test_a_refusal_is_a_named_error(refusal: str, error: type[MiniToolError], text: str) -> None:
    """With the amounts that matter."""
    ledger = FakeLedger(50 if refusal == "poor" else 1000, limit_nusd=40 if refusal == "limit" else None)
    ledger.model.keys[KEY_ID].usable = refusal != "revoked"
    ledger.model.accounts[ACCOUNT_ID].suspended = refusal == "suspended"
    with pytest.raises(error) as caught:
        await hold(ledger)
    assert type(caught.value) is error
    assert text in caught.value.message
    assert ledger.held == 0


async def test_the_database_is_away() -> None:
    """The error goes through, and nothing is settled for a hold that was never made."""
    ledger = FakeLedger()
    ledger.away = True
    with pytest.raises(DatabaseUnavailable):
        await hold(ledger)
    assert ledger.settlements == []


async def test_a_caller_that_leaves_before_the_answer_takes_its_question_back() -> None:
    """The ledger sees the cancelled future."""
    ledger = FakeLedger()
    ledger.paused = True
    task = asyncio.create_task(hold(ledger))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ledger.paused = False
    await asyncio.sleep(0.01)
    assert ledger.held == 0
    assert ledger.settlements == []


@pytest.mark.parametrize("case", ["granted", "refused", "away"])
async def test_a_caller_that_leaves_in_the_turn_of_the_answer_holds_nothing(case: str) -> None:
    """The answer was given, the task has not woken: what was granted is released at once, and only that."""
    ledger = FakeLedger(1000 if case == "granted" else 5)
    ledger.away = case == "away"
    task = asyncio.create_task(hold(ledger))
    ledger.answered = task.cancel
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert [each.outcome for each in ledger.settlements] == ([CallOutcome.ABANDONED] if case == "granted" else [])
    assert ledger.held == 0


async def test_waiting_for_a_settlement_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the database away the reply goes without a balance; the settlement is taken all the same."""
    monkeypatch.setattr(module, "SETTLE_WAIT_S", 0.01)
    ledger = FakeLedger(1000)
    held = await hold(ledger)
    ledger.paused = True
    assert await settled_soon(held.settle(Settlement(held.id, 30, CallOutcome.COMPLETED))) is None
    ledger.paused = False
    await asyncio.sleep(0.02)
    assert (ledger.balance, ledger.held) == (970, 0)


async def test_a_caller_that_leaves_while_its_call_is_settled_changes_nothing() -> None:
    """The settlement is not cancelled with it."""
    ledger = FakeLedger(1000)
    held = await hold(ledger)
    ledger.paused = True
    task = asyncio.create_task(settled_soon(held.settle(Settlement(held.id, 30, CallOutcome.COMPLETED))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ledger.paused = False
    await asyncio.sleep(0.01)
    assert ledger.balance == 970


async def test_what_nobody_awaits_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Usage above the hold, a settlement that was refused, one without a hold."""
    caplog.set_level(logging.ERROR)
    ledger = FakeLedger(10**9)
    held = await hold(ledger)
    settled = await settled_soon(held.settle(Settlement(held.id, 150, CallOutcome.COMPLETED)))
    assert settled is not None
    assert settled.charged_nusd == 100
    assert "used 0.00000015 USD, 0.00000005 more than its hold" in caplog.text
    nobody = Hold(ledger, UUID(int=5), HoldAnswer(HoldOutcome.GRANTED, 1, 1), CallFacts(), OpenHolds())
    missing = await nobody.settle(Settlement(UUID(int=5), 1, CallOutcome.FAILED))
    assert missing.resolution is Resolution.MISSING
    assert "no hold" in caplog.text
    ledger.refuse = ServerError()
    with pytest.raises(ServerError):
        await settled_soon((await hold(ledger)).settle(Settlement(held.id, 1, CallOutcome.FAILED)))
    assert "was not taken" in caplog.text
    caplog.clear()
    ledger.refuse = None
    cancelled = (await hold(ledger)).settle(Settlement(held.id, 1, CallOutcome.FAILED))
    cancelled.cancel()
    await asyncio.sleep(0.01)
    assert caplog.text == ""


async def test_a_database_that_leaves_during_a_settlement_is_no_error_of_the_reply() -> None:
    """It goes out without the balance."""
    ledger = FakeLedger(1000)
    held = await hold(ledger)
    ledger.refuse = DatabaseUnavailable()
    assert await settled_soon(held.settle(Settlement(held.id, 1, CallOutcome.FAILED))) is None
