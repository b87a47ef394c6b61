"""Usage is read back exactly as it was written: call by call, in sums, in pages that lose and repeat nothing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from minitoolai.core.ledger import CallOutcome, HoldRequest, Settlement
from minitoolai.core.reports import GROUPS, Mark, Page, Period, Scope, UsageFilter, UsageSum
from minitoolai.storage.usage import PgUsage
from tests.storage.desk import Desk, new_id

DAY = datetime(2026, 7, 1, tzinfo=UTC)
_INSERT = """INSERT INTO usage_records (id, account_id, key_id, model, engine, outcome, prompt_tokens, completion_tokens,
    counted_by_gateway, input_nusd_per_1m, output_nusd_per_1m, held, cost, started_at, created_at, cached_tokens,
    reasoning_tokens) VALUES ($1, $2, $3, $4, 'e', 0, 10, 5, false, 1, 2, 9, $5, $6, $6, 4, 2)"""


async def all_of(fetch: Callable[..., Coroutine[Any, Any, Page[Any]]]) -> list[Any]:
    """Read a report page by page."""
    rows: list[Any] = []
    after: Mark | None = None
    while True:
        page = await fetch(after=after)
        rows += page.rows
        if page.next is None:
            return rows
        after = page.next


async def july(desk: Desk) -> tuple[int, list[int]]:
    """An account with two keys that called two models on three days, and one that must never be seen."""
    await desk.script("CREATE TABLE IF NOT EXISTS usage_records_2026_07 PARTITION OF usage_records "
                      "FOR VALUES FROM ('2026-07-01 00:00:00+00') TO ('2026-08-01 00:00:00+00')")  # fmt: skip
    account, other = await desk.account(0), await desk.account(0)
    keys = [await desk.key(account, name="first"), await desk.key(account, name="second")]
    stranger = await desk.key(other)
    for number in range(24):
        at = DAY + timedelta(days=number % 3, hours=number)
        await desk.sql(_INSERT, new_id(), account, keys[number % 2], f"m{number // 12}", number, at)
        await desk.sql(_INSERT, new_id(), other, stranger, "m0", 1000, at)
    return account, keys


async def test_a_call_is_read_as_it_was_settled(desk: Desk) -> None:
    """With all that its cost is made of."""
    account = await desk.account(10**6)
    key = await desk.key(account)
    ledger = await desk.ledger()
    call = new_id()
    await ledger.hold(HoldRequest(call, account, key, 900, 900, "m", "fake"))
    await ledger.settle(
        Settlement(
            call, 700, CallOutcome.CUT, 11, 7, counted_by_gateway=True, input_nusd_per_1m=5, output_nusd_per_1m=6,
            cached_tokens=3, cached_nusd_per_1m=2, reasoning_tokens=4, fees_nusd=100, tier="flex", engine="second",
            first_content_ms=42,
        )
    )  # fmt: skip
    usage = PgUsage(desk.database)
    for asked in (UsageFilter(Scope(account, None)), UsageFilter(Scope(account, key), call_id=call)):
        (record,) = (await usage.calls(asked, after=None, limit=10)).rows
        assert (record.id, record.key_id, record.model, record.engine) == (call, key, "m", "second")
        assert (record.outcome, record.counted_by_gateway, record.tier) == (CallOutcome.CUT, True, "flex")
        assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens, record.reasoning_tokens) == (
            11,
            3,
            7,
            4,
        )
        assert (record.input_nusd_per_1m, record.cached_nusd_per_1m, record.output_nusd_per_1m) == (5, 2, 6)
        assert (record.fees, record.held, record.cost, record.first_content_ms) == (100, 900, 700, 42)
        assert record.started_at <= record.ended_at
    for asked in (UsageFilter(Scope(account, key + 1)), UsageFilter(Scope(account, key), call_id=UUID(int=5))):
        assert (await usage.calls(asked, after=None, limit=10)).rows == []


@pytest.mark.parametrize("limit", [1, 5, 24, 100])
async def test_pages_lose_and_repeat_nothing(desk: Desk, limit: int) -> None:
    """The newest first, whatever the size of a page; nothing of another account."""
    account, keys = await july(desk)
    usage = PgUsage(desk.database)
    asked = UsageFilter(Scope(account, None))
    rows = await all_of(partial(usage.calls, asked, limit=limit))
    assert sorted(row.cost for row in rows) == list(range(24))
    assert rows == sorted(rows, key=lambda row: (row.ended_at, row.id), reverse=True)
    narrow = UsageFilter(Scope(account, keys[1]), Period(DAY, DAY + timedelta(days=1)), model="m0")
    rows = await all_of(partial(usage.calls, narrow, limit=limit))
    assert sorted(row.cost for row in rows) == [3, 9]


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("by", [["day"], ["model"], ["key"], ["day", "key"], ["key", "model", "day"]])
async def test_sums_add_up(desk: Desk, by: list[str], limit: int) -> None:
    """By any of day, model and key, in order, in pages of any size."""
    account, keys = await july(desk)
    usage = PgUsage(desk.database)
    asked = UsageFilter(Scope(account, None))
    rows: list[UsageSum] = await all_of(partial(usage.sums, asked, by, limit=limit))
    assert sum(row.calls for row in rows) == 24
    assert sum(row.cost for row in rows) == sum(range(24))
    assert sum(row.cached_tokens for row in rows) == 24 * 4
    names = {"day": "day", "model": "model", "key": "key_id"}
    groups = [tuple(getattr(row, names[group]) for group in by) for row in rows]
    assert groups == sorted(set(groups))
    for row in rows:
        assert (row.key_name in ("first", "second")) == ("key" in by)
        absent = [names[group] for group in GROUPS if group not in by]
        assert all(getattr(row, name) is None for name in absent)
    if by == ["day"]:
        assert [row.day for row in rows] == [date(2026, 7, day) for day in (1, 2, 3)]
        assert {row.calls for row in rows} == {8}
    own = await usage.sums(UsageFilter(Scope(account, keys[0])), ["key"], after=None, limit=5)
    assert [(row.key_id, row.calls) for row in own.rows] == [(keys[0], 12)]


async def test_a_day_ends_at_midnight_in_utc(desk: Desk) -> None:
    """The first moment is in, the moment after the last is not."""
    account, keys = await july(desk)
    end = DAY + timedelta(days=20)
    for at in (end - timedelta(microseconds=1), end):
        await desk.sql(_INSERT, new_id(), account, keys[0], "m0", 7, at)
    usage = PgUsage(desk.database)
    period = Period(end - timedelta(days=1), end)
    rows = (await usage.calls(UsageFilter(Scope(account, None), period), after=None, limit=9)).rows
    assert [row.ended_at for row in rows] == [end - timedelta(microseconds=1)]
    sums = await usage.sums(
        UsageFilter(Scope(account, None), Period(end - timedelta(days=1), None)), ["day"], after=None, limit=9
    )
    assert [(row.day, row.calls) for row in sums.rows] == [(date(2026, 7, 20), 1), (date(2026, 7, 21), 1)]
