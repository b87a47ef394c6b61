"""What all paged reports share: conditions with their values, and the mark where the next page begins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from minitoolai.core.reports import Mark, Page, Period

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = TypeVar("Row")


class Conditions:
    """A WHERE clause in the making: its text, and the values of its numbered places."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """All conditions together."""
        return " AND ".join(self._parts) or "true"

    def place(self, value: object) -> str:
        """Return the place ("$3") of a value."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add(self, condition: str, *values: object) -> None:
        """Add a condition that has `{}` for each value."""
        self._parts.append(condition.format(*[self.place(value) for value in values]))

    def within(self, column: str, period: Period) -> None:
        """Let a column be within a period."""
        if period.since is not None:
            self.add(f"{column} >= {{}}", period.since)
        if period.until is not None:
            self.add(f"{column} < {{}}", period.until)


def page(rows: list[Row], limit: int, mark: Callable[[Row], Mark]) -> Page[Row]:
    """Return the first `limit` of `rows`, with the last one's mark where there is one row more."""
    shown = rows[:limit]
    return Page(shown, mark(shown[-1]) if len(rows) > limit else None)


def micros(moment: datetime) -> int:
    """Return a moment in microseconds since 1970, as exact as the database has it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(number: int) -> datetime:
    """Return the moment so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=number)
