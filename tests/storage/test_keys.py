"""Keys are found by their digest, and every change of them is heard."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from minitoolai.core.access import Principal, key_digest, make_key
from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.inner_errors import AccountNotFound, KeyNotFound
from minitoolai.storage import listening as module
from minitoolai.storage.database import Database
from minitoolai.storage.keys import PgKeys
from tests.storage.desk import Desk

SECRET = make_key(bytes(range(32)))


async def test_a_key_is_found_with_all_that_a_call_needs(desk: Desk) -> None:
    """Revoked and suspended ones too: who asks judges."""
    account = await desk.account(0, "a")
    keys = PgKeys(desk.database)
    assert await keys.find(key_digest(SECRET)) is None
    until = datetime.now(UTC) + timedelta(days=1)
    key = await desk.key(account, models=["gpt-4o", "gpt-4.1"], expires_at=until, secret=SECRET)
    models = frozenset({"gpt-4o", "gpt-4.1"})
    expected = Principal(account, key, models, until, revoked=False, suspended=False)
    assert await keys.find(key_digest(SECRET)) == expected
    await desk.accounts.suspend("a", suspended=True, actor="tests")
    await desk.keys.revoke(key, actor="tests")
    assert await keys.find(key_digest(SECRET)) == Principal(account, key, models, until, revoked=True, suspended=True)
    plain = make_key(bytes(32))
    other = await desk.key(account, secret=plain)
    assert await keys.find(key_digest(plain)) == Principal(account, other, None, None, revoked=False, suspended=True)


async def test_changes_are_heard_at_once_and_after_a_gap(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revocations and suspensions, of this process and others; a lost connection counts as a change."""
    monkeypatch.setattr(module, "_RELISTEN_S", 0.01)
    monkeypatch.setattr(module, "_PROBE_S", 0.05)
    account = await desk.account(1000, "a")
    key = await desk.key(account)
    heard = asyncio.Queue[None]()
    listening = asyncio.create_task(PgKeys(desk.database).listen(lambda: heard.put_nowait(None)))

    async def hear() -> None:
        async with asyncio.timeout(20):
            await heard.get()

    try:
        await hear()  # it listens
        await desk.keys.revoke(key, actor="tests")
        await hear()
        await desk.accounts.suspend("a", suspended=True, actor="tests")
        await hear()
        await desk.credit("a", 5)
        await desk.sql("UPDATE keys SET spent = 0, last_used_at = now()")
        await asyncio.sleep(0.2)
        assert heard.empty()  # money is no change of a key
        await desk.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query IN ('SELECT 1', $1)",
            'LISTEN "minitoolai_keys"',
        )
        await hear()  # lost
        await hear()  # it listens again
        await desk.accounts.suspend("a", suspended=False, actor="tests")
        await hear()
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


async def test_listening_goes_on_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt makes what is remembered be dropped."""
    monkeypatch.setattr(module, "_RELISTEN_S", 0.001)
    heard = asyncio.Queue[None]()
    keys = PgKeys(Database("postgresql://nobody@127.0.0.1:1/none"))
    listening = asyncio.create_task(keys.listen(lambda: heard.put_nowait(None)))
    async with asyncio.timeout(20):
        await heard.get()
        await heard.get()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    with pytest.raises(DatabaseUnavailable):
        await keys.find(bytes(32))


async def test_keys_are_made_listed_and_revoked(desk: Desk) -> None:
    """Revoking twice keeps the first time; the secret is nowhere."""
    account = await desk.account(0, "a")
    other = await desk.account(0, "b")
    first = await desk.key(account, 500, models=["m"], secret=SECRET)
    second = await desk.key(other)
    (view,) = await desk.keys.all("a")
    assert (view.id, view.account, view.terms.spend_limit, view.terms.models) == (first, "a", 500, ("m",))
    assert (view.spent, view.held, view.revoked_at) == (0, 0, None)
    assert [each.id for each in await desk.keys.all()] == [first, second]
    revoked = await desk.keys.revoke(first, actor="tests")
    assert revoked.revoked_at is not None
    assert (await desk.keys.revoke(first, actor="tests")).revoked_at == revoked.revoked_at
    with pytest.raises(KeyNotFound):
        await desk.keys.revoke(999_999, actor="tests")
    with pytest.raises(AccountNotFound):
        await desk.keys.all("nobody")
    rows = await desk.sql("SELECT k::text AS row FROM keys k UNION ALL SELECT a::text FROM audit a")
    assert not any(SECRET[4:-5] in row["row"] for row in rows)
    audit = [row["action"] for row in await desk.sql("SELECT action FROM audit ORDER BY id")]
    assert audit == ["account.create", "account.create", "key.create", "key.create", "key.revoke", "key.revoke"]
