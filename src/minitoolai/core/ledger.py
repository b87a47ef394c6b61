"""The ledger's language: who holds money, what moves it, and how a hold may end.

A hold is written before a call runs and ends exactly once: captured, released or expired. Entries (transfers) are
never updated. The rules that must be exact under concurrency stand in `storage/migrations`, in the database's own
language; `LedgerModel` in the tests says the same in twenty lines of Python, and both are run against each other.
"""

from __future__ import annotations

from enum import IntEnum
from uuid import UUID

from msgspec import Struct


class SystemAccount(IntEnum):
    """Accounts of the operator: only sums of entries, no materialised balance. Customers' ids begin at 1000."""

    #: Credit given by the operator.
    GRANTS = 1
    #: What customers were charged.
    REVENUE = 2
    #: What the operator bore: usage above a hold, late captures that the balance could not pay.
    LOSS = 3


class TransferKind(IntEnum):
    """Why money moved."""

    CREDIT = 1
    CAPTURE = 2
    #: A dead process's call, captured by the sweeper at what it had produced.
    EXPIRY = 3
    #: A capture that came after its hold had expired.
    LATE_CAPTURE = 4
    #: Usage above the hold, borne by the operator.
    SHORTFALL = 5


class HoldOutcome(IntEnum):
    """What became of a request for a hold."""

    GRANTED = 0
    NO_CREDIT = 1
    KEY_LIMIT = 2
    KEY_INVALID = 3
    ACCOUNT_SUSPENDED = 4
    #: The key's requests of this minute are used up, or its tokens.
    RATE_REQUESTS = 5
    RATE_TOKENS = 6
    #: A call with this Idempotency-Key is running; it was used with another body; its reply is to be given again.
    IN_PROGRESS = 7
    OTHER_BODY = 8
    REPLAY = 9


class Resolution(IntEnum):
    """What became of a request to end a hold."""

    DONE = 0
    #: The hold had expired; what was still owed was taken as far as the balance reached.
    LATE = 1
    #: The hold was ended before: the answer names what was charged then.
    EXISTS = 2
    #: There is no such hold and no record of it.
    MISSING = 3


class CallOutcome(IntEnum):
    """How a call ended, as its usage record says."""

    COMPLETED = 0
    #: Nothing was produced: nothing was charged.
    FAILED = 1
    #: The engine broke off, timed out or was drained after its first content.
    CUT = 2
    #: The caller left.
    ABANDONED = 3
    #: The process died; the sweeper closed the call.
    EXPIRED = 4


class Repeatable(Struct, frozen=True):
    """What makes a call the same as an earlier one of its account (`Idempotency-Key`)."""

    key: str
    #: The path and the body as they came, hashed.
    body_digest: bytes


class Rates(Struct, frozen=True):
    """How a key's minute stands after a hold."""

    request_limit: int
    requests_left: int
    token_limit: int
    tokens_left: int
    #: Until the minute ends.
    resets_in_ms: int


class HoldRequest(Struct, frozen=True):
    """A request to set money aside for a call."""

    #: Made by the caller of the ledger, UUID version 7; the call's request id is made from it.
    id: UUID
    account_id: int
    key_id: int
    #: The least that makes sense, and what is wanted, in nano-dollars; min ≤ wanted.
    min_nusd: int
    wanted_nusd: int
    model: str
    engine: str
    #: Tokens that count against the key's minute: the least that makes sense, and what is wanted.
    min_tokens: int = 0
    wanted_tokens: int = 0
    repeatable: Repeatable | None = None


class HoldAnswer(Struct, frozen=True):
    """The database's word on a `HoldRequest`."""

    outcome: HoldOutcome
    #: Set aside, between min and wanted; 0 where refused.
    granted_nusd: int
    #: What the account, or the key where that is the tighter bound, could still set aside afterwards.
    available_nusd: int
    #: Tokens counted against the key's minute, between min and wanted.
    granted_tokens: int = 0
    rates: Rates | None = None
    #: The call whose reply is to be given again.
    earlier: UUID | None = None


class Settlement(Struct, frozen=True):
    """How a call ended and what it costs: ends its hold and writes its usage record."""

    hold_id: UUID
    #: Actual cost in nano-dollars; 0 releases the hold.
    cost_nusd: int
    outcome: CallOutcome
    prompt_tokens: int = 0
    completion_tokens: int = 0
    #: Whether the gateway counted the tokens because the engine did not say.
    counted_by_gateway: bool = False
    #: Prices used, nano-dollars per million tokens.
    input_nusd_per_1m: int = 0
    output_nusd_per_1m: int = 0
    #: Of the prompt's tokens, those that the engine had cached, and their price.
    cached_tokens: int = 0
    cached_nusd_per_1m: int = 0
    #: Of the completion's tokens, those of reasoning.
    reasoning_tokens: int = 0
    #: What the call costs beside its tokens, in nano-dollars; part of `cost_nusd`.
    fees_nusd: int = 0
    #: Characters that were spoken, and their price, nano-dollars per million.
    characters: int = 0
    character_nusd_per_1m: int = 0
    #: Milliseconds of sound that were written down, and the price of a minute, in nano-dollars.
    audio_ms: int = 0
    audio_minute_nusd: int = 0
    #: The engine's service tier where it is not the usual one.
    tier: str | None = None
    #: The engine that answered; None: the one that the hold names.
    engine: str | None = None
    #: Until the first content of a stream.
    first_content_ms: int | None = None
    #: The reply in clear, where its caller may repeat the call; stored encrypted.
    reply: bytes | None = None


class Settled(Struct, frozen=True):
    """The database's word on a `Settlement`."""

    resolution: Resolution
    charged_nusd: int
    #: The account's balance afterwards.
    balance_nusd: int
