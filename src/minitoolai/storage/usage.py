"""Usage records, read: one by one, or summed by day, model and key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from minitoolai.core.ledger import CallOutcome
from minitoolai.core.reports import CallRecord, Mark, Page, UsageFilter, UsageSum
from minitoolai.storage.database import Database
from minitoolai.storage.pages import Conditions, micros, moment_of, page

_CALLS = """SELECT id, key_id, model, engine, outcome, prompt_tokens, cached_tokens, completion_tokens,
    reasoning_tokens, images, characters, audio_ms, counted_by_gateway, input_nusd_per_1m, cached_nusd_per_1m,
    output_nusd_per_1m, character_nusd_per_1m, audio_minute_nusd, fees, tier,
    first_content_ms, held, cost, started_at, created_at AS ended_at
    FROM usage_records u WHERE {where} ORDER BY created_at DESC, id DESC LIMIT {limit}"""
#: What each group is in a usage record.
_COLUMNS = {"day": "(u.created_at AT TIME ZONE 'UTC')::date", "model": "u.model", "key": "u.key_id"}
_SUMS = """SELECT s.*, k.name AS key_name FROM (
    SELECT {chosen}, count(*) AS calls, sum(prompt_tokens)::bigint AS prompt_tokens,
        sum(cached_tokens)::bigint AS cached_tokens, sum(completion_tokens)::bigint AS completion_tokens,
        sum(reasoning_tokens)::bigint AS reasoning_tokens, sum(images)::bigint AS images,
        sum(characters)::bigint AS characters, sum(audio_ms)::bigint AS audio_ms, sum(cost)::bigint AS cost
    FROM usage_records u WHERE {where} GROUP BY {groups} ORDER BY {groups} LIMIT {limit}
    ) s LEFT JOIN keys k ON k.id = s.key_id ORDER BY {names}"""


class PgUsage:
    """The usage records of an account or a key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, asked: UsageFilter, *, after: Mark | None, limit: int) -> Page[CallRecord]:
        """Return calls that have ended, the newest first. A mark: when the last one ended, and its id."""
        where = _conditions(asked)
        if after is not None:
            ended, call = after
            where.add("(u.created_at, u.id) < ({}, {})", moment_of(int(ended)), UUID(str(call)))
        rows = await self._fetch(_CALLS, where, limit)
        found = [CallRecord(**{**row, "outcome": CallOutcome(row["outcome"])}) for row in rows]
        return page(found, limit, lambda last: (micros(last.ended_at), last.id.hex))

    async def sums(self, asked: UsageFilter, by: Sequence[str], *, after: Mark | None, limit: int) -> Page[UsageSum]:
        """Return the calls' sums by `GROUPS`, in their order. A mark: the last row's groups."""
        where = _conditions(asked)
        columns = [_COLUMNS[group] for group in by]
        if after is not None:
            places = ", ".join(["{}"] * len(columns))
            values = [_day(value) if group == "day" else value for group, value in zip(by, after, strict=True)]
            where.add(f"({', '.join(columns)}) > ({places})", *values)
        names = ["key_id" if group == "key" else group for group in by]
        chosen = [f"{column} AS {name}" for column, name in zip(columns, names, strict=True)]
        if "key" not in by:
            chosen.append("NULL::bigint AS key_id")
        rows = await self._fetch(
            _SUMS, where, limit, chosen=", ".join(chosen), groups=", ".join(columns), names=", ".join(names)
        )
        found = [UsageSum(**{"day": None, "model": None, **row}) for row in rows]
        return page(found, limit, lambda last: tuple(_mark_of(getattr(last, name)) for name in names))

    async def _fetch(self, query: str, where: Conditions, limit: int, **parts: str) -> list[asyncpg.Record]:
        text = query.format(where=where.text, limit=where.place(limit + 1), **parts)
        async with self._database.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(text, *where.values)
            return rows


def _conditions(asked: UsageFilter) -> Conditions:
    where = Conditions()
    where.add("u.account_id = {}", asked.scope.account_id)
    if asked.scope.key_id is not None:
        where.add("u.key_id = {}", asked.scope.key_id)
    where.within("u.created_at", asked.period)
    if asked.model is not None:
        where.add("u.model = {}", asked.model)
    if asked.call_id is not None:
        where.add("u.id = {}", asked.call_id)
    return where


#: Days in a mark are counted from here.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


def _day(number: str | int) -> Any:
    return _EPOCH + timedelta(days=int(number))


def _mark_of(value: Any) -> str | int:
    return (value - _EPOCH).days if not isinstance(value, str | int) else value
