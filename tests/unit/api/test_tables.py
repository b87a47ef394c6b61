"""CSV that spreadsheets read as it is meant, and marks that come back as they were given."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.api.queries import Hex, Micros, Name, Number, Query, Small, cursor
from minitoolai.api.tables import csv_of, shown_time
from minitoolai.core.errors import InvalidValue
from minitoolai.core.reports import Mark
from minitoolai.edge.exchange import Exchange

KNOWN = ("after", "limit", "model")


def query(text: str) -> Query:
    """Return the query of a request."""

    async def receive() -> dict[str, object]:
        return {}

    async def send(message: object) -> None:
        pass

    return Query(Exchange({"query_string": text.encode()}, receive, send, "/"), KNOWN)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""), (True, "true"), (False, "false"), (12, "12"), ("-0.5", "-0.5"), ("-12", "-12"), ("gpt-4o", "gpt-4o"),
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1+cmd", "'-1+cmd"), ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"), ("\r=1", "'\r=1"),
        ('a "quoted", text', 'a "quoted", text'), ("two\r\nlines", "two\r\nlines"),
        ("", ""), ("-", "'-"), ("-1.5.", "'-1.5."),
    ],
)  # fmt: skip
def test_a_cell_is_no_formula(value: object, cell: str) -> None:
    """A text that begins as one gets an apostrophe; amounts stay numbers; commas, quotes and lines are quoted."""
    text = csv_of([{"a": value, "b": 1}], ["a", "b"]).decode()
    assert text.startswith("a,b\r\n")
    assert text.endswith(",1\r\n")
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [["a", "b"], [cell, "1"]]


def test_a_table_without_rows_has_its_names() -> None:
    """So that a program finds the columns."""
    assert csv_of([], ["a", "b"]) == b"a,b\r\n"


def test_times_are_utc_to_the_millisecond() -> None:
    """Whatever zone they come in."""
    moment = datetime(2026, 7, 1, 1, 2, 3, 456_789, timezone(timedelta(hours=2)))
    assert shown_time(moment) == "2026-06-30T23:02:03.456Z"
    assert shown_time(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T00:00:00.000Z"


@given(
    st.integers(0, 253_000_000_000_000_000), st.uuids().map(lambda each: each.hex), st.integers(0, 32_767),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.integers(0, 2**63 - 1),
)  # fmt: skip
def test_a_mark_comes_back_as_it_was(micros: int, digits: str, kind: int, name: str, number: int) -> None:
    """And is refused by a report of another kind."""
    mark: Mark = (micros, digits, kind, name, number)
    text = cursor(mark)
    assert text is not None
    if len(text) <= 1000:
        asked = query(f"after={text}")
        assert asked.mark(Micros, Hex, Small, Name, Number) == mark
        for parts in ((), (Micros,), (Micros, Hex, Small, Name), (Hex, Micros, Small, Name, Number)):
            with pytest.raises(InvalidValue):
                asked.mark(*parts)
    assert cursor(None) is None


@pytest.mark.parametrize("part", ["0" * 32 + "\n", "0" * 31, "A" * 32, "\u0661" * 32, "\n" + "0" * 32])
def test_a_mark_with_no_id_is_refused(part: str) -> None:
    """One that was tampered with never reaches the database."""
    text = cursor((0, part))
    with pytest.raises(InvalidValue):
        query(f"after={text}").mark(Micros, Hex)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_query_breaks_it(text: str) -> None:
    """Any text is a query, or a refusal that names a parameter."""
    param: str | None = "none"
    try:
        asked = query(text)
        assert asked.limit >= 1
        asked.mark(Micros, Hex)
    except InvalidValue as refused:
        param = refused.param
    assert param
