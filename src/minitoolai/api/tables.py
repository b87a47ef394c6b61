"""A page of a report as JSON, or as CSV (RFC 4180) that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from minitoolai.api.queries import Query, cursor
from minitoolai.core.errors import InvalidValue
from minitoolai.core.reports import Mark
from minitoolai.edge.exchange import Exchange, Headers

CSV = b"text/csv; charset=utf-8"
#: What a spreadsheet may take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")

_encode = msgspec.json.Encoder().encode


def wants_csv(exchange: Exchange, query: Query) -> bool:
    """Whether a report is asked for as CSV: by `format`, else by `Accept`. Raises `InvalidValue`."""
    asked = query.text("format")
    if asked is None:
        return "text/csv" in (exchange.header(b"accept") or "").lower()
    if asked not in ("json", "csv"):
        raise InvalidValue(param="format", why="it is json or csv.")
    return asked == "csv"


async def reply_page(
    exchange: Exchange, rows: Sequence[dict[str, Any]], next_mark: Mark | None, *, columns: Sequence[str], as_csv: bool
) -> None:
    """Send rows that have exactly `columns`, and where the next page begins."""
    following = cursor(next_mark)
    if not as_csv:
        await exchange.reply(200, _encode({"object": "list", "data": rows, "next": following}))
        return
    headers: Headers = [(b"x-minitoolai-next", following.encode())] if following is not None else []
    await exchange.reply(200, csv_of(rows, columns), headers, media=CSV)


def csv_of(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> bytes:
    """Return rows as CSV with a line of names; a text that looks like a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([[_cell(row[column]) for column in columns] for row in rows])
    return out.getvalue().encode()


def shown_time(moment: datetime) -> str:
    """Return a moment in UTC to the millisecond, as reports show it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
