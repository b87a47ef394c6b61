"""`GET /v1/usage`: every call with its cost, or sums by day, model and key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from minitoolai.api.queries import Days, Hex, Micros, Name, Number, Query, midnight
from minitoolai.api.tables import reply_page, shown_time, wants_csv
from minitoolai.core.errors import InvalidValue
from minitoolai.core.ids import request_id
from minitoolai.core.money import format_usd
from minitoolai.core.reports import GROUPS, CallRecord, Mark, Page, Period, Scope, UsageFilter, UsageSum
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access

#: Days of a report: where the caller does not say, and at most.
DEFAULT_DAYS, MOST_DAYS = 31, 366
#: What a key's id can be.
MOST_ID = 2**63 - 1

PARAMETERS = ("from", "to", "group_by", "model", "key_id", "request_id", "limit", "after", "format")
CALL_COLUMNS = (
    "request_id", "started_at", "ended_at", "key_id", "model", "engine", "outcome", "prompt_tokens", "cached_tokens",
    "completion_tokens", "reasoning_tokens", "images", "characters", "audio_seconds", "counted_by_gateway",
    "input_usd_per_1m", "cached_input_usd_per_1m", "output_usd_per_1m", "usd_per_1m_characters", "usd_per_minute", "fees",
    "service_tier", "first_content_ms", "held", "cost",
)  # fmt: skip
GROUP_COLUMNS = {"day": ("day",), "model": ("model",), "key": ("key_id", "key_name")}
SUM_COLUMNS = (
    "calls", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "images", "characters",
    "audio_seconds", "cost",
)  # fmt: skip
_MARKS = {"day": Days, "model": Name, "key": Number}
_REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")


class UsageReports(Protocol):
    """Where usage is read."""

    async def calls(self, asked: UsageFilter, *, after: Mark | None, limit: int) -> Page[CallRecord]:
        """Return calls, the newest first."""
        ...

    async def sums(self, asked: UsageFilter, by: Sequence[str], *, after: Mark | None, limit: int) -> Page[UsageSum]:
        """Return the calls' sums by groups."""
        ...


def add_usage(routes: Routes, access: Access, reports: UsageReports) -> None:
    """Add the route."""

    async def usage(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        query = Query(exchange, PARAMETERS)
        as_csv, groups = wants_csv(exchange, query), query.words("group_by", GROUPS)
        scope = Scope.of(principal, query.number("key_id", None, MOST_ID))
        call_id = _call_id(query)
        asked = UsageFilter(scope, Period() if call_id else period(query), query.text("model"), call_id)
        if groups:
            after = query.mark(*[_MARKS[group] for group in groups])
            sums = await reports.sums(asked, groups, after=after, limit=query.limit)
            columns = tuple(column for group in groups for column in GROUP_COLUMNS[group]) + SUM_COLUMNS
            await reply_page(exchange, [_sum(row, columns) for row in sums.rows], sums.next, columns=columns, as_csv=as_csv)
            return
        calls = await reports.calls(asked, after=query.mark(Micros, Hex), limit=query.limit)
        await reply_page(exchange, [_call(row) for row in calls.rows], calls.next, columns=CALL_COLUMNS, as_csv=as_csv)

    routes.add("GET", "/v1/usage", usage)


def period(query: Query) -> Period:
    """Return the days asked for: `from` up to and without `to`; the last 31 where both are left open.

    Raises `InvalidValue`.
    """
    first, end = query.day("from"), query.day("to")
    if end is None:
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        end = tomorrow if first is None else max(tomorrow, first + timedelta(days=1))
        end = end if first is None else min(end, first + timedelta(days=MOST_DAYS))
    if first is None:
        first = end - timedelta(days=DEFAULT_DAYS)
    if first >= end:
        raise InvalidValue(param="to", why="it is the day after the last one, so it comes after from.")
    if (end - first).days > MOST_DAYS:
        raise InvalidValue(param="from", why=f"a report covers up to {MOST_DAYS} days. Ask for a later day.")
    return Period(midnight(first), midnight(end))


def _call_id(query: Query) -> UUID | None:
    text = query.text("request_id")
    if text is None:
        return None
    if not _REQUEST_ID.fullmatch(text):
        raise InvalidValue(param="request_id", why="it is a call's x-request-id: req_ and 32 hexadecimal digits.")
    return UUID(text.removeprefix("req_"))


def _sum(row: UsageSum, columns: Sequence[str]) -> dict[str, Any]:
    shown = {
        "day": row.day.isoformat() if row.day is not None else None,
        "model": row.model,
        "key_id": row.key_id,
        "key_name": row.key_name,
        "calls": row.calls,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "images": row.images,
        "characters": row.characters,
        "audio_seconds": row.audio_ms / 1000,
        "cost": format_usd(row.cost),
    }
    return {column: shown[column] for column in columns}


def _call(row: CallRecord) -> dict[str, Any]:
    return {
        "request_id": request_id(row.id),
        "started_at": shown_time(row.started_at),
        "ended_at": shown_time(row.ended_at),
        "key_id": row.key_id,
        "model": row.model,
        "engine": row.engine,
        "outcome": row.outcome.name.lower(),
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "images": row.images,
        "characters": row.characters,
        "audio_seconds": row.audio_ms / 1000,
        "counted_by_gateway": row.counted_by_gateway,
        "input_usd_per_1m": format_usd(row.input_nusd_per_1m),
        "cached_input_usd_per_1m": format_usd(row.cached_nusd_per_1m),
        "output_usd_per_1m": format_usd(row.output_nusd_per_1m),
        "usd_per_1m_characters": format_usd(row.character_nusd_per_1m),
        "usd_per_minute": format_usd(row.audio_minute_nusd),
        "fees": format_usd(row.fees),
        "service_tier": row.tier,
        "first_content_ms": row.first_content_ms,
        "held": format_usd(row.held),
        "cost": format_usd(row.cost),
    }
