"""Amounts are read and shown exactly, and rounded once, half up."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.inner_errors import InvalidAmount
from minitoolai.core.money import MAX_AMOUNT_NUSD, NUSD_PER_USD, PRICE_UNIT, charge_nusd, format_usd, parse_usd

AMOUNTS = st.integers(0, MAX_AMOUNT_NUSD)
LINES = st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**15)), max_size=4)


@given(AMOUNTS)
def test_what_is_shown_can_be_read_back(amount: int) -> None:
    """Every amount survives being shown."""
    assert parse_usd(format_usd(amount)) == amount
    assert format_usd(-amount) == (f"-{format_usd(amount)}" if amount else "0")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0), ("4.99", 4_990_000_000), ("0.000000001", 1), ("5", 5 * NUSD_PER_USD), (".5", 500_000_000),
        ("1.", NUSD_PER_USD), ("007", 7 * NUSD_PER_USD), ("1.100000000000000", 1_100_000_000),
        ("1000000000", MAX_AMOUNT_NUSD), ("1000000000.000000000", MAX_AMOUNT_NUSD),
    ],
)  # fmt: skip
def test_amounts_are_read(text: str, amount: int) -> None:
    """Digits with at most one point, zeros at either end as people write them."""
    assert parse_usd(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "1.2.3", "-1", "+1", "1e3", "1,5", " 1", "1 ", "1_000", "NaN", "Infinity", "٣", "１", "$5", "0x1",
        "0.0000000001", "1000000000.000000001", "1000000001", "9" * 400, "0." + "1" * 400,
        # A decimal context of 28 digits would round the last digit away and take the rest.
        "0.1234567890000000000000000000000000001",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """Signs, exponents, other digits, more than nine places, more than a billion."""
    with pytest.raises(InvalidAmount) as caught:
        parse_usd(text)
    assert text in caught.value.message


def test_a_number_is_not_an_amount() -> None:
    """A float would have lost digits before it came here."""
    with pytest.raises(InvalidAmount):
        parse_usd(4.99)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (1, "0.000000001"), (4_990_000_000, "4.99"), (10 * NUSD_PER_USD, "10"), (-1_500_000_000, "-1.5")],
)
def test_amounts_are_shown_without_trailing_zeros(amount: int, text: str) -> None:
    """Whole dollars keep their zeros."""
    assert format_usd(amount) == text


@given(LINES)
def test_a_charge_is_the_exact_sum_rounded_once_half_up(lines: list[tuple[int, int]]) -> None:
    """Against fractions, which do not round."""
    exact = sum((Fraction(count * price, PRICE_UNIT) for count, price in lines), Fraction())
    assert charge_nusd(sum(count * price for count, price in lines)) == floor(exact + Fraction(1, 2))


@given(st.integers(0, 10**9), st.integers(0, 10**12), st.integers(1, 10**6))
def test_prices_of_other_units_are_rounded_alike(count: int, price: int, unit: int) -> None:
    """A minute has 60,000 milliseconds."""
    assert charge_nusd(count * price, unit) == floor(Fraction(count * price, unit) + Fraction(1, 2))


def test_rounding_happens_once() -> None:
    """Two halves make one nano-dollar, not two."""
    assert charge_nusd(500_000) == 1
    assert charge_nusd(500_000 + 500_000) == 1
    assert charge_nusd(499_999) == 0
