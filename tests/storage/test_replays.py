"""Calls that may be repeated: claimed with the hold, kept with the capture, free again when they fail."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from minitoolai.core.ledger import CallOutcome, HoldOutcome, HoldRequest, Repeatable, Settlement
from minitoolai.storage.replays import PgReplays
from minitoolai.storage.seal import Seal, SealBroken, derive_key
from tests.storage.desk import SEAL, Desk, new_id, settle_all

GRANTED, RUNNING, OTHER, REPLAY = (
    HoldOutcome.GRANTED, HoldOutcome.IN_PROGRESS, HoldOutcome.OTHER_BODY, HoldOutcome.REPLAY,
)  # fmt: skip
CANARY = b'{"canary": "a secret answer"}'


async def customer(desk: Desk) -> tuple[int, int]:
    """An account with 1000, and a key."""
    account = await desk.account(1000)
    return account, await desk.key(account)


def again(who: tuple[int, int], key: str = "k", body: bytes = b"body", *, wanted: int = 10) -> HoldRequest:
    """A call with an Idempotency-Key."""
    return HoldRequest(new_id(), *who, wanted, wanted, "m", "fake", 0, 0, Repeatable(key, body))


def done(request: HoldRequest, reply: bytes | None = CANARY) -> Settlement:
    """How a call ends whose reply is kept."""
    return Settlement(request.id, 4, CallOutcome.COMPLETED, 1, 1, reply=reply)


async def test_a_call_is_charged_once_and_its_reply_given_again(desk: Desk) -> None:
    """While it runs it is in progress; then its reply is there, for the same body only."""
    who, ledger, replays = await customer(desk), await desk.ledger(), PgReplays(desk.database, SEAL)
    first = again(who)
    assert (await ledger.hold(first)).outcome is GRANTED
    assert (await ledger.hold(again(who))).outcome is RUNNING
    assert (await ledger.hold(again(who, body=b"other"))).outcome is OTHER
    await settle_all(ledger, [done(first)])
    answer = await ledger.hold(again(who))
    assert (answer.outcome, answer.earlier, answer.granted_nusd) == (REPLAY, first.id, 0)
    assert answer.rates is not None
    assert await replays.find(first.id) == CANARY
    assert (await ledger.hold(again(who, body=b"other"))).outcome is OTHER
    assert (await ledger.hold(again(who, "another key"))).outcome is GRANTED
    assert (await desk.money(who[0]))[0] == 996
    await desk.clean()


async def test_a_call_that_was_answered_is_found_without_a_hold(desk: Desk) -> None:
    """As the hold would: by account, key and body, once it has its reply; not for an account that is suspended, nor a day
    later."""
    who, ledger, replays = await customer(desk), await desk.ledger(), PgReplays(desk.database, SEAL)
    first, same = again(who), Repeatable("k", b"body")
    await ledger.hold(first)
    assert await replays.answered(who[0], same) is None
    await settle_all(ledger, [done(first)])
    assert await replays.answered(who[0], same) == first.id
    for account, call in ((who[0], Repeatable("k", b"other")), (who[0], Repeatable("l", b"body")), (who[0] + 1, same)):
        assert await replays.answered(account, call) is None
    await desk.sql("UPDATE accounts SET suspended_at = now() WHERE id = $1", who[0])
    assert await replays.answered(who[0], same) is None
    await desk.sql("UPDATE accounts SET suspended_at = NULL")
    await desk.sql("UPDATE replays SET created_at = now() - interval '24 hours'")
    assert await replays.answered(who[0], same) is None


async def test_of_many_at_once_over_processes_one_runs(desk: Desk) -> None:
    """And after it all get its reply."""
    who = await customer(desk)
    ledgers = [await desk.ledger() for _ in range(4)]
    asked = [again(who) for _ in range(40)]
    answers = await asyncio.gather(*[ledgers[i % 4].hold(request) for i, request in enumerate(asked)])
    outcomes = [answer.outcome for answer in answers]
    assert (outcomes.count(GRANTED), outcomes.count(RUNNING)) == (1, 39)
    winner = asked[outcomes.index(GRANTED)]
    await settle_all(ledgers[0], [done(winner)])
    answers = await asyncio.gather(*[ledgers[i % 4].hold(again(who)) for i in range(40)])
    assert {(answer.outcome, answer.earlier) for answer in answers} == {(REPLAY, winner.id)}
    await desk.clean()


@pytest.mark.parametrize("end", ["failed", "expired", "cut"])
async def test_a_call_that_failed_frees_its_key(desk: Desk, end: str) -> None:
    """For any body; the next success is kept under it."""
    who, ledger, replays = await customer(desk), await desk.ledger(), PgReplays(desk.database, SEAL)
    first = again(who)
    doomed = await desk.ledger()
    await doomed.hold(first)
    if end == "expired":
        await desk.kill(doomed)
        assert await ledger.sweep() == 1
    else:
        await settle_all(doomed, [Settlement(first.id, 0 if end == "failed" else 3, CallOutcome.FAILED)])
    second = again(who, body=b"other")
    assert (await ledger.hold(second)).outcome is GRANTED
    await settle_all(ledger, [done(second)])
    if end == "expired":
        await settle_all(doomed, [done(first)])  # too late: the key is another call's by now
        assert await replays.find(first.id) is None
    answer = await ledger.hold(again(who, body=b"other"))
    assert (answer.outcome, answer.earlier) == (REPLAY, second.id)
    await desk.clean()


async def test_accounts_do_not_meet(desk: Desk) -> None:
    """The same key of another account is another key; keys of one account share theirs."""
    one, two, ledger = await customer(desk), await customer(desk), await desk.ledger()
    assert (await ledger.hold(again(one))).outcome is GRANTED
    assert (await ledger.hold(again(two))).outcome is GRANTED
    sibling = (one[0], await desk.key(one[0]))
    assert (await ledger.hold(again(sibling))).outcome is RUNNING
    await desk.clean()


async def test_a_refused_call_claims_nothing(desk: Desk) -> None:
    """No money, then money: the key is free."""
    who, ledger = await customer(desk), await desk.ledger()
    assert (await ledger.hold(again(who, wanted=2000))).outcome is HoldOutcome.NO_CREDIT
    assert await desk.sql("SELECT 1 FROM replays") == []
    assert (await ledger.hold(again(who))).outcome is GRANTED
    await desk.clean()


async def test_a_day_later_all_is_forgotten(desk: Desk) -> None:
    """The key is free after 24 hours, and the sweeper erases the row."""
    who, ledger, replays = await customer(desk), await desk.ledger(), PgReplays(desk.database, SEAL)
    first = again(who)
    await ledger.hold(first)
    await settle_all(ledger, [done(first)])
    await desk.sql("UPDATE replays SET created_at = created_at - interval '24 hours'")
    second = again(who, body=b"other")
    assert (await ledger.hold(second)).outcome is GRANTED
    await settle_all(ledger, [done(second)])
    await desk.sql("UPDATE replays SET created_at = created_at - interval '24 hours'")
    await ledger.sweep()
    assert await desk.sql("SELECT 1 FROM replays") == []
    assert await replays.find(second.id) is None
    await desk.clean()


async def test_nothing_stands_in_clear(desk: Desk) -> None:
    """Neither the key, nor the body's hash, nor the reply; and a row moved to another call does not open."""
    who, ledger = await customer(desk), await desk.ledger()
    first = again(who, "canary-key", b"canary-digest")
    await ledger.hold(first)
    await settle_all(ledger, [done(first)])
    (row,) = await desk.sql("SELECT * FROM replays")
    stored = b"".join(value for value in row.values() if isinstance(value, bytes))
    assert b"canary" not in stored
    assert b"secret answer" not in stored
    other = new_id()
    await desk.sql("UPDATE replays SET call_id = $1", other)
    with pytest.raises(SealBroken):
        await PgReplays(desk.database, SEAL).find(other)


def test_a_seal_opens_only_its_own() -> None:
    """Another secret, purpose, owner, or one changed bit: refused."""
    secret = bytes(range(32))
    seal = Seal(derive_key(secret, "replays"))
    closed = seal.close(b"text", UUID(int=1).bytes)
    assert seal.open(closed, UUID(int=1).bytes) == b"text"
    assert seal.close(b"text", UUID(int=1).bytes) != closed
    assert seal.mark(b"a") == seal.mark(b"a") != seal.mark(b"b")
    others = [Seal(derive_key(secret, "files")), Seal(derive_key(secret + b"1", "replays"))]
    assert len({each.mark(b"a") for each in [seal, *others]}) == 3
    for each in others:
        with pytest.raises(SealBroken):
            each.open(closed, UUID(int=1).bytes)
    for broken in (closed[:-1], closed[:5], b"", bytes([closed[0] ^ 1]) + closed[1:]):
        with pytest.raises(SealBroken):
            seal.open(broken, UUID(int=1).bytes)
    with pytest.raises(SealBroken):
        seal.open(closed, UUID(int=2).bytes)
