"""Accounts and reports as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from minitoolai.core.accounts import AccountView, KeyTerms, KeyView, LedgerReport


def test_what_is_held_is_not_available() -> None:
    """Available is the balance without the holds."""
    account = AccountView(1000, "a", 500, 120, suspended=False, created_at=datetime.now(UTC))
    assert account.available == 380


@pytest.mark.parametrize(
    ("limit", "spent", "held", "left"), [(None, 5, 5, None), (10, 3, 2, 5), (10, 8, 2, 0), (10, 20, 0, 0)]
)
def test_what_a_key_may_still_spend(limit: int | None, spent: int, held: int, left: int | None) -> None:
    """The limit without what was spent in its period and what is held, never below nothing."""
    now = datetime.now(UTC)
    key = KeyView(1, "a", "sk-…", KeyTerms(spend_limit=limit), 99, spent, None, held, None, None, now)
    assert key.remaining == left


def test_a_report_is_ok_without_problems() -> None:
    """One problem is enough."""
    assert LedgerReport(1, 2, 3, ()).ok
    assert not LedgerReport(1, 2, 3, ("something",)).ok
