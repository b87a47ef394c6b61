"""Keys' terms can be changed at any time: the next call knows, in every process, and the audit says who did it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from minitoolai.core.access import key_digest
from minitoolai.core.accounts import KeyTerms, LimitReset
from minitoolai.core.inner_errors import KeyNotFound
from minitoolai.core.ledger import HoldOutcome
from minitoolai.runtime.first_start import first_start
from minitoolai.storage.keys import PgKeys
from tests.storage.desk import Desk, ask, cost

LATER = datetime.now(UTC) + timedelta(days=9)
TERMS: dict[str, Any] = {
    "name": "bot",
    "spend_limit": 500,
    "limit_reset": LimitReset.DAY,
    "models": ("a", "b"),
    "expires_at": LATER,
    "addresses": ("203.0.113.0/24", "2001:db8::/32"),
    "requests_per_minute": 60,
    "tokens_per_minute": 2**40,
    "owner": True,
}


async def test_every_term_is_kept_and_can_be_taken_away(desk: Desk) -> None:
    """Given at the making or changed one by one; None takes it away; what is not named stays."""
    account = await desk.account(0, "a")
    made = await desk.keys.show(
        await desk.key(account, limit_nusd=500, **{k: v for k, v in TERMS.items() if k != "spend_limit"})
    )
    assert made.terms == KeyTerms(**TERMS)
    key = await desk.key(account)
    assert (await desk.keys.show(key)).terms == KeyTerms()
    expected: dict[str, Any] = {}
    for name, value in TERMS.items():
        expected[name] = value
        assert (await desk.keys.change(key, {name: value}, actor="tests")).terms == KeyTerms(**expected)
    plain = KeyTerms()
    for name in TERMS:
        expected[name] = getattr(plain, name)
        assert (await desk.keys.change(key, {name: expected[name]}, actor="tests")).terms == KeyTerms(**expected)
    with pytest.raises(KeyNotFound):
        await desk.keys.change(999_999, {"name": "x"}, actor="tests")
    rows = await desk.sql("SELECT actor, details::text AS details FROM audit WHERE action = 'key.change' ORDER BY id")
    assert len(rows) == 2 * len(TERMS)
    assert json.loads(rows[1]["details"]) == {"spend_limit": "500"}
    assert json.loads(rows[-2]["details"]) == {"tokens_per_minute": None}


@pytest.mark.parametrize("term", [name for name in TERMS if name != "name"])
async def test_every_change_is_heard_by_the_gateways(desk: Desk, term: str) -> None:
    """So that none goes on with the old terms for seconds."""
    key = await desk.key(await desk.account(0))
    heard = asyncio.Queue[None]()
    listening = asyncio.create_task(PgKeys(desk.database).listen(lambda: heard.put_nowait(None)))
    try:
        async with asyncio.timeout(20):
            await heard.get()  # it listens
            await desk.keys.change(key, {term: TERMS[term]}, actor="tests")
            await heard.get()
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


async def test_calls_tell_no_gateway(desk: Desk) -> None:
    """Money and minutes move with every call, and are no change of a key."""
    account = await desk.account(1000)
    key = await desk.key(account, 900, limit_reset=LimitReset.DAY, requests_per_minute=5)
    heard = asyncio.Queue[None]()
    listening = asyncio.create_task(PgKeys(desk.database).listen(lambda: heard.put_nowait(None)))
    try:
        async with asyncio.timeout(20):
            await heard.get()
        ledger = await desk.ledger()
        request = ask(account, key, 10)
        await ledger.hold(request)
        await ledger.settle(cost(request.id, 10))
        await asyncio.sleep(0.2)
        assert heard.empty()
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


async def spend(desk: Desk, account: int, key: int, nusd: int) -> None:
    """A call at so much."""
    ledger = await desk.ledger()
    request = ask(account, key, nusd)
    assert (await ledger.hold(request)).outcome is HoldOutcome.GRANTED
    await ledger.settle(cost(request.id, nusd))


async def test_what_a_key_may_still_spend(desk: Desk) -> None:
    """Limit less spending less holds; a period that is over counts no more, before any call begins the next one."""
    account = await desk.account(10_000)
    free = await desk.keys.show(await desk.key(account))
    assert (free.remaining, free.resets_at) == (None, None)
    key = await desk.key(account, 500, limit_reset=LimitReset.DAY)
    view = await desk.keys.show(key)
    assert (view.remaining, view.spent_in_period, view.resets_at) == (500, 0, next_midnight())
    await spend(desk, account, key, 120)
    await (await desk.ledger()).hold(ask(account, key, 30))
    view = await desk.keys.show(key)
    assert (view.spent, view.spent_in_period, view.held, view.remaining) == (120, 120, 30, 350)
    await desk.sql("UPDATE keys SET period_began = period_began - 1 WHERE id = $1", key)
    view = await desk.keys.show(key)
    assert (view.spent, view.spent_in_period, view.held, view.remaining) == (120, 0, 30, 470)
    lowered = await desk.keys.change(key, {"spend_limit": 10}, actor="tests")
    assert lowered.remaining == 0


async def test_a_new_reset_begins_a_new_period(desk: Desk) -> None:
    """What was spent before does not count in it; without one it counts again; the same one again changes nothing."""
    account = await desk.account(10_000)
    key = await desk.key(account, 500)
    await spend(desk, account, key, 120)
    for reset, spent in ((LimitReset.DAY, 0), (LimitReset.MONTH, 0), (LimitReset.NEVER, 120)):
        view = await desk.keys.change(key, {"limit_reset": reset}, actor="tests")
        assert (view.spent_in_period, view.remaining) == (spent, 500 - spent)
    await desk.keys.change(key, {"limit_reset": LimitReset.MONTH}, actor="tests")
    await spend(desk, account, key, 70)
    view = await desk.keys.change(key, {"limit_reset": LimitReset.MONTH, "spend_limit": 200}, actor="tests")
    assert (view.spent_in_period, view.remaining) == (70, 130)
    ledger = await desk.ledger()
    assert (await ledger.hold(ask(account, key, 131))).outcome is HoldOutcome.KEY_LIMIT
    assert (await ledger.hold(ask(account, key, 130))).outcome is HoldOutcome.GRANTED
    await desk.clean()


async def test_the_first_key_of_a_sandbox_is_an_owners(desk: Desk, tmp_path: Path) -> None:
    """Whoever starts a server sees all that is used on it; the second start makes no other."""
    made = await first_start(desk.database, tmp_path, sandbox=True)
    assert made is not None
    (key,) = await desk.keys.all("sandbox")
    assert key.terms == KeyTerms(name="first", owner=True)
    found = await PgKeys(desk.database).find(key_digest(made.key))
    assert found is not None
    assert found.owner
    assert await first_start(desk.database, tmp_path, sandbox=True) is None


def next_midnight() -> datetime:
    """The end of today, in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
