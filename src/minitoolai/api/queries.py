"""Query strings of reports: each parameter once, known, and of its form; refused with its name and a remedy."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec

from minitoolai.core.errors import InvalidValue
from minitoolai.core.reports import Mark
from minitoolai.edge.exchange import Exchange

#: Rows of a page: where the caller does not say, and at most. A thousand are put together within milliseconds.
DEFAULT_ROWS, MOST_ROWS = 100, 1000
#: Characters of a parameter at most: models' names have up to 200.
LONGEST = 1000
#: Years that a report may be asked for: any in which this program can have run, far from what dates cannot hold.
YEARS = range(2000, 2200)

#: What marks are made of: a moment in microseconds, an id, a movement's kind, days since 1970, a model's name, a key.
Micros = Annotated[int, msgspec.Meta(ge=0, le=253_000_000_000_000_000)]
Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Small = Annotated[int, msgspec.Meta(ge=0, le=32_767)]
Days = Annotated[int, msgspec.Meta(ge=-100_000, le=100_000)]
Name = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z")]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DIGITS = re.compile(r"[0-9]{1,19}")


class Query:
    """The parameters of one request."""

    def __init__(self, exchange: Exchange, known: Collection[str]) -> None:
        """Raises `InvalidValue` for one that is unknown, comes twice, or is no UTF-8."""
        raw = exchange.scope.get("query_string", b"")
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=len(known))
        except ValueError:
            raise InvalidValue(
                param="query", why=f"it has up to {len(known)} parameters in percent-encoded UTF-8."
            ) from None
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                raise InvalidValue(param=_shown(name), why=f"there is no such parameter here. Use {', '.join(known)}.")
            if name in self._values:
                raise InvalidValue(param=name, why="it comes twice. Send it once.")
            if len(value) > LONGEST or "\0" in value:
                raise InvalidValue(param=name, why=f"it has up to {LONGEST} characters, none of them NUL.")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """Return a parameter as it is, or None."""
        return self._values.get(name)

    def number(self, name: str, default: int | None, most: int) -> int | None:
        """Return a number from 1 to `most`. Raises `InvalidValue`."""
        text = self._values.get(name)
        if text is None:
            return default
        if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= most:
            raise InvalidValue(param=name, why=f"it is a number from 1 to {most}.")
        return int(text)

    @property
    def limit(self) -> int:
        """How many rows. Raises `InvalidValue`."""
        return self.number("limit", DEFAULT_ROWS, MOST_ROWS) or DEFAULT_ROWS

    def day(self, name: str) -> date | None:
        """Return a day. Raises `InvalidValue`."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        except ValueError:
            day = None
        if day is None or day.year not in YEARS:
            why = f"it is a day in UTC like 2026-11-24, from {YEARS.start} to {YEARS.stop - 1}."
            raise InvalidValue(param=name, why=why)
        return day

    def words(self, name: str, known: Sequence[str]) -> list[str]:
        """Return a list like `day,model`, each word one of `known` and there once. Raises `InvalidValue`."""
        text = self._values.get(name)
        if text is None:
            return []
        found = text.split(",")
        if len(set(found)) < len(found) or not set(found) <= set(known):
            raise InvalidValue(param=name, why=f"it names any of {', '.join(known)}, with commas between.")
        return found

    def mark(self, *parts: Any) -> Mark | None:
        """Return where the page begins: `after`, made of `parts`. Raises `InvalidValue`."""
        text = self._values.get("after")
        if text is None:
            return None
        kind: Any = tuple[parts]  # type: ignore[valid-type]
        try:
            mark: Mark = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
        except (msgspec.MsgspecError, binascii.Error, ValueError):
            raise InvalidValue(param="after", why="send `next` of the page before, as it was, to the same report.") from None
        return mark


def cursor(mark: Mark | None) -> str | None:
    """Return a mark as callers are given it."""
    return None if mark is None else base64.urlsafe_b64encode(msgspec.json.encode(mark)).rstrip(b"=").decode()


def midnight(day: date) -> datetime:
    """Return the moment in which a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)


def _shown(name: str) -> str:
    """Return a caller's own word fit to be shown back: short and printable."""
    return "".join(c for c in name[:60] if c.isprintable()) or "query"
