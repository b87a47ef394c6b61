"""Accounts and keys as they are shown: values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account at one moment; amounts in nano-dollars."""

    id: int
    name: str
    balance: int
    held: int
    suspended: bool
    created_at: datetime

    @property
    def available(self) -> int:
        """What can still be held."""
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class CreditAnswer:
    """What became of a credit: made now, or there before under the same id."""

    created: bool
    account: AccountView


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key without its secret; amounts in nano-dollars."""

    id: int
    account: str
    name: str
    hint: str
    spend_limit: int | None
    spent: int
    held: int
    models: tuple[str, ...] | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a verification of the ledger found."""

    accounts: int
    entries: int
    holds: int
    #: One sentence each; empty: the ledger is clean.
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems
