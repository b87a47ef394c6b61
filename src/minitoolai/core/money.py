"""Amounts: integers of nano-dollars, parsed and shown exactly, rounded in one place."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from minitoolai.core.inner_errors import InvalidAmount

#: One US dollar in nano-dollars (nusd).
NUSD_PER_USD = 1_000_000_000
#: Decimal places of an amount in USD.
DECIMAL_PLACES = 9
#: Prices are quoted per this many tokens or characters.
PRICE_UNIT = 1_000_000
#: Largest price accepted, per million tokens: a thousand times the dearest on the market. With it no cost of a call
#: comes near what the database's 64-bit integers hold.
MAX_PRICE_NUSD = 1_000_000 * NUSD_PER_USD
#: Largest amount accepted from outside: a billion dollars, far below what a signed 64-bit integer holds.
MAX_AMOUNT_NUSD = 1_000_000_000 * NUSD_PER_USD


def parse_usd(text: str) -> int:
    """Return the amount written in `text` (decimal USD, up to 9 places) in nano-dollars.

    Raises `InvalidAmount` for anything else: exponents, signs, more places, amounts over a billion dollars.
    """
    if not isinstance(text, str) or not text or any(c not in "0123456789." for c in text) or not text.isascii():
        raise InvalidAmount(text=text, why="write digits with at most one point, like 4.99")
    try:
        scaled = Decimal(text) * NUSD_PER_USD
    except InvalidOperation:
        raise InvalidAmount(text=text, why="write digits with at most one point, like 4.99") from None
    if scaled > MAX_AMOUNT_NUSD:
        raise InvalidAmount(text=text, why="it is over a billion")
    if len(text.partition(".")[2].rstrip("0")) > DECIMAL_PLACES:
        raise InvalidAmount(text=text, why="it has more than 9 decimal places")
    return int(scaled)


def format_usd(amount_nusd: int) -> str:
    """Return `amount_nusd` as a decimal string in USD without trailing zeros: 4990000000 → "4.99"."""
    sign = "-" if amount_nusd < 0 else ""
    whole, fraction = divmod(abs(amount_nusd), NUSD_PER_USD)
    return f"{sign}{whole}.{fraction:09d}".rstrip("0").rstrip(".")


def charge_nusd(priced: int, unit: int = PRICE_UNIT) -> int:
    """Return the charge for the exact sum of `count × price` over a call's lines, rounded once, half up; prices are
    nano-dollars per `unit` of what is counted: a million tokens, where it is not said."""
    return (2 * priced + unit) // (2 * unit)
