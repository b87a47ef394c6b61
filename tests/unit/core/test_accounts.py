"""Accounts and reports as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime

from minitoolai.core.accounts import AccountView, LedgerReport


def test_what_is_held_is_not_available() -> None:
    """Available is the balance without the holds."""
    account = AccountView(1000, "a", 500, 120, suspended=False, created_at=datetime.now(UTC))
    assert account.available == 380


def test_a_report_is_ok_without_problems() -> None:
    """One problem is enough."""
    assert LedgerReport(1, 2, 3, ()).ok
    assert not LedgerReport(1, 2, 3, ("something",)).ok
