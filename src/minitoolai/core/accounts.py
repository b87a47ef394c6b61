"""Accounts and keys as they are shown: values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


class LimitReset(StrEnum):
    """When a key's limit begins anew, in UTC."""

    NEVER = "never"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What an operator lets a key do."""

    name: str = ""
    #: The most that it may spend in a period, in nano-dollars; None: no limit.
    spend_limit: int | None = None
    limit_reset: LimitReset = LimitReset.NEVER
    #: Ids of the models it may use; None: all.
    models: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    #: Networks it may be used from ("203.0.113.0/24"); None: anywhere.
    addresses: tuple[str, ...] | None = None
    #: None: the server's defaults.
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    #: Whether it sees the whole account's usage and statement, not only its own.
    owner: bool = False


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key without its secret; amounts in nano-dollars."""

    id: int
    account: str
    hint: str
    terms: KeyTerms
    #: Over its whole life.
    spent: int
    #: Since its limit last began anew.
    spent_in_period: int
    #: When that happens next; None: never.
    resets_at: datetime | None
    held: int
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime

    @property
    def remaining(self) -> int | None:
        """What it may still spend in this period beside what is held; None: it has no limit."""
        if self.terms.spend_limit is None:
            return None
        return max(self.terms.spend_limit - self.spent_in_period - self.held, 0)


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
