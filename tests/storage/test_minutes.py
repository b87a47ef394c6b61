"""Requests and tokens a minute, and limits that begin anew: exact over several processes, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from minitoolai.core.ledger import CallOutcome, HoldOutcome, HoldRequest, Settlement
from tests.storage.desk import Desk, ask, cost, hold_all, new_id, settle_all

GRANTED, REQUESTS, TOKENS = HoldOutcome.GRANTED, HoldOutcome.RATE_REQUESTS, HoldOutcome.RATE_TOKENS


@dataclass
class Minute:
    """A key and the limits of its minute."""

    desk: Desk
    account: int
    key: int

    @classmethod
    async def of(cls, desk: Desk, requests: int | None = None, tokens: int | None = None) -> Minute:
        """Make an account with plenty, and a key."""
        account = await desk.account(10**9)
        key = await desk.key(account)
        await desk.sql(
            "UPDATE keys SET requests_per_minute = $2, tokens_per_minute = $3 WHERE id = $1", key, requests, tokens
        )
        return cls(desk, account, key)

    def ask(self, tokens: int = 0, least: int | None = None) -> HoldRequest:
        """A call that may use so many tokens."""
        return HoldRequest(new_id(), self.account, self.key, 10, 10, "m", "fake", tokens if least is None else least, tokens)

    async def pass_by(self) -> None:
        """Let the minute end."""
        await self.desk.sql("UPDATE keys SET minute_began = minute_began - interval '60 s' WHERE id = $1", self.key)

    async def used(self) -> tuple[int, int]:
        """Requests and tokens counted in this minute."""
        (row,) = await self.desk.sql("SELECT minute_requests, minute_tokens FROM keys WHERE id = $1", self.key)
        return row["minute_requests"], row["minute_tokens"]


def used(request: HoldRequest, prompt: int, completion: int) -> Settlement:
    """A settlement of so many tokens."""
    return Settlement(request.id, 1, CallOutcome.COMPLETED, prompt, completion)


async def test_requests_of_four_processes_are_counted_exactly(desk: Desk) -> None:
    """Of 200 calls at once exactly as many pass as the minute has; those refused do not count; the next minute is new."""
    minute = await Minute.of(desk, requests=37)
    ledgers = [await desk.ledger() for _ in range(4)]
    for _ in range(2):
        asked = [minute.ask() for _ in range(200)]
        answers = await asyncio.gather(*[ledgers[i % 4].hold(request) for i, request in enumerate(asked)])
        outcomes = [answer.outcome for answer in answers]
        assert (outcomes.count(GRANTED), outcomes.count(REQUESTS)) == (37, 163)
        assert await minute.used() == (37, 0)
        left = sorted(answer.rates.requests_left for answer in answers if answer.rates and answer.outcome is GRANTED)
        assert left == list(range(37))
        await minute.pass_by()
    await desk.clean()


async def test_tokens_are_taken_at_the_hold_and_corrected_at_the_capture(desk: Desk) -> None:
    """What a call may use counts until it is known what it did use."""
    minute = await Minute.of(desk, tokens=1000)
    ledger = await desk.ledger()
    first = minute.ask(700)
    answer = await ledger.hold(first)
    assert answer.rates is not None
    assert (answer.outcome, answer.granted_tokens, answer.rates.tokens_left) == (GRANTED, 700, 300)
    assert (answer.rates.token_limit, answer.rates.request_limit) == (1000, 2**31 - 1)
    assert 0 < answer.rates.resets_in_ms <= 60_000
    refused = await ledger.hold(minute.ask(301))
    assert refused.rates is not None
    assert (refused.outcome, refused.granted_nusd, refused.rates.tokens_left) == (TOKENS, 0, 300)
    shortened = minute.ask(400, least=200)
    assert (await ledger.hold(shortened)).granted_tokens == 300
    await settle_all(ledger, [used(first, 50, 50)])
    assert await minute.used() == (2, 400)
    assert (await ledger.hold(minute.ask(600))).outcome is GRANTED
    await settle_all(ledger, [used(shortened, 400, 100)])
    assert await minute.used() == (3, 1200)  # it used more than it was held at: that counts, too
    assert (await ledger.hold(minute.ask(1))).outcome is TOKENS
    await desk.clean()


async def test_tokens_of_a_batch_are_exact(desk: Desk) -> None:
    """One batch of calls does not pass the limit together, and a large call does not block smaller ones behind it."""
    minute = await Minute.of(desk, tokens=100)
    ledger = await desk.ledger()
    answers = await hold_all(ledger, [minute.ask(60), minute.ask(60), minute.ask(30), minute.ask(20), minute.ask(10)])
    assert [answer.outcome for answer in answers] == [GRANTED, TOKENS, GRANTED, TOKENS, GRANTED]
    assert await minute.used() == (3, 100)
    await desk.clean()


async def test_a_call_of_the_last_minute_does_not_change_this_one(desk: Desk) -> None:
    """Its correction comes too late to matter."""
    minute = await Minute.of(desk, tokens=100)
    ledger = await desk.ledger()
    old, new = minute.ask(80), minute.ask(90)
    await ledger.hold(old)
    await minute.pass_by()
    await ledger.hold(new)
    await settle_all(ledger, [used(old, 1, 1)])
    assert await minute.used() == (1, 90)
    await settle_all(ledger, [used(new, 5, 5)])
    assert await minute.used() == (1, 10)
    await desk.clean()


async def test_a_clock_that_was_set_back_stops_nobody(desk: Desk) -> None:
    """A minute of the future begins anew."""
    minute = await Minute.of(desk, requests=1)
    ledger = await desk.ledger()
    assert (await ledger.hold(minute.ask())).outcome is GRANTED
    await desk.sql("UPDATE keys SET minute_began = now() + interval '1 hour' WHERE id = $1", minute.key)
    assert (await ledger.hold(minute.ask())).outcome is GRANTED
    await desk.clean()


async def test_keys_without_limits_have_the_servers(desk: Desk) -> None:
    """Its own win where it has some."""
    free, own = await Minute.of(desk), await Minute.of(desk, requests=3)
    ledger = await desk.ledger(requests_per_minute=2, tokens_per_minute=50)
    assert [a.outcome for a in await hold_all(ledger, [free.ask() for _ in range(3)])] == [GRANTED, GRANTED, REQUESTS]
    assert [a.outcome for a in await hold_all(ledger, [own.ask() for _ in range(4)])] == [GRANTED] * 3 + [REQUESTS]
    await free.pass_by()
    assert (await ledger.hold(free.ask(51))).outcome is TOKENS
    await desk.clean()


async def periodic(desk: Desk, reset: str, **columns: Any) -> tuple[int, int]:
    """An account with plenty, and a key that may spend 100 in each period."""
    account = await desk.account(10**6)
    key = await desk.key(account, 100)
    await desk.sql("UPDATE keys SET limit_reset = $2 WHERE id = $1", key, reset)
    return account, key


async def test_a_limit_begins_anew_with_its_period(desk: Desk) -> None:
    """By day and by month; what was spent in all goes on being counted."""
    ledger = await desk.ledger()
    for reset, back in (("day", "1 day"), ("month", "1 month")):
        account, key = await periodic(desk, reset)
        first = ask(account, key, 100)
        assert (await ledger.hold(first)).outcome is GRANTED
        await settle_all(ledger, [cost(first.id, 80)])
        assert (await ledger.hold(ask(account, key, 21))).outcome is HoldOutcome.KEY_LIMIT
        still_open = ask(account, key, 15)
        assert (await ledger.hold(still_open)).outcome is GRANTED
        await desk.sql(f"UPDATE keys SET period_began = period_began - interval '{back}' WHERE id = $1", key)
        answer = await ledger.hold(ask(account, key, 86))
        assert (answer.outcome, answer.available_nusd) == (HoldOutcome.KEY_LIMIT, 85)  # what is open counts in the new one
        assert (await ledger.hold(ask(account, key, 85))).outcome is GRANTED
        (row,) = await desk.sql("SELECT spent, spent_before FROM keys WHERE id = $1", key)
        assert (row["spent"], row["spent_before"]) == (80, 80)
        await settle_all(ledger, [cost(still_open.id, 15)])
        assert (await ledger.hold(ask(account, key, 1))).outcome is HoldOutcome.KEY_LIMIT
    await desk.clean()


async def test_a_limit_without_period_never_does(desk: Desk) -> None:
    """Whatever the date."""
    ledger = await desk.ledger()
    account, key = await periodic(desk, "never")
    first = ask(account, key, 100)
    await ledger.hold(first)
    await settle_all(ledger, [cost(first.id, 100)])
    await desk.sql("UPDATE keys SET period_began = '2020-01-01' WHERE id = $1", key)
    assert (await ledger.hold(ask(account, key, 1))).outcome is HoldOutcome.KEY_LIMIT
    await desk.clean()
