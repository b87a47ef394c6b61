"""What an account or a key is told about its past: calls, their sums, and the movements of its money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.errors import OthersCalls
from minitoolai.core.ledger import CallOutcome, TransferKind

#: Where a page begins: the sort key of the last row before it.
Mark = tuple[str | int, ...]
Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose calls a report is about."""

    account_id: int
    #: None: all keys of the account.
    key_id: int | None

    @classmethod
    def of(cls, principal: Principal, key_id: int | None = None) -> Scope:
        """Return what `principal` may see, narrowed to one key where it asks for one.

        Raises `OthersCalls` when a key that is no owner's asks for another's.
        """
        if not principal.owner and key_id not in (None, principal.key_id):
            raise OthersCalls(param="key_id")
        return cls(principal.account_id, key_id if principal.owner else principal.key_id)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time; None: open."""

    #: The first moment in it.
    since: datetime | None = None
    #: The first moment after it.
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[Row_co]):
    """Some rows of a report, and where the next ones begin."""

    rows: Sequence[Row_co]
    #: None: these were the last.
    next: Mark | None


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which calls a report is about; None: all."""

    scope: Scope
    #: When they ended.
    period: Period = Period()
    model: str | None = None
    call_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call that held money, and what became of it; amounts in nano-dollars."""

    id: UUID
    key_id: int
    model: str
    engine: str
    outcome: CallOutcome
    prompt_tokens: int
    #: Of the prompt's tokens, those that the engine had cached.
    cached_tokens: int
    completion_tokens: int
    #: Of the completion's tokens, those of reasoning.
    reasoning_tokens: int
    #: Pictures that it drew.
    images: int
    #: Characters that it spoke, and milliseconds of sound that it wrote down.
    characters: int
    audio_ms: int
    counted_by_gateway: bool
    #: Prices used, per million tokens.
    input_nusd_per_1m: int
    cached_nusd_per_1m: int
    output_nusd_per_1m: int
    #: Per million characters, and per minute of sound.
    character_nusd_per_1m: int
    audio_minute_nusd: int
    #: What it cost beside its tokens; part of `cost`.
    fees: int
    tier: str | None
    first_content_ms: int | None
    held: int
    cost: int
    started_at: datetime
    ended_at: datetime


#: What calls may be summed by.
GROUPS = ("day", "model", "key")


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Calls that have a day, a model or a key in common; what they are not grouped by is None."""

    day: date | None
    model: str | None
    key_id: int | None
    key_name: str | None
    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    images: int
    characters: int
    audio_ms: int
    #: In nano-dollars.
    cost: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of an account's money."""

    id: UUID
    kind: TransferKind
    #: In nano-dollars; what left the account is negative.
    amount: int
    #: Of the call that it paid for; None: it paid for none.
    model: str | None
    key_id: int | None
    at: datetime
