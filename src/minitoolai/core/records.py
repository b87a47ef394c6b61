"""What is known of one request: gathered while it runs (`CallFacts`), written down once it has ended (`RequestRecord`).

Logs, metrics and traces are made from the record. Nothing of a prompt, a reply, a key or an address may enter.
"""

from __future__ import annotations

import re
from uuid import UUID

from msgspec import Struct

from minitoolai.core.ledger import Settlement

#: Status of a request whose caller left before any reply, as nginx counts it.
CALLER_LEFT = 499
#: A model's name that may be written down as it was asked for; anything else could be a text or a key.
_NAME = re.compile(r"(?!sk-)[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}")


class CallFacts(Struct):
    """What has been learnt of a request so far.

    A paid use case hands it to `Metering.hold`: the bracket notes model, engine, hold and settlement by itself. What
    only the use case knows (`asked`, `stream`, `attempts`, `failures`, `error`, `replayed`), it sets where it learns it.
    Billing never reads it.
    """

    account_id: int | None = None
    key_id: int | None = None
    #: The model as the caller named it.
    asked: str | None = None
    #: The model's id in the catalogue.
    model: str | None = None
    #: The engine called last, or the first to be.
    engine: str | None = None
    stream: bool = False
    #: Engines called.
    attempts: int = 0
    #: Engines that failed the call, each with the code of its failure.
    failures: list[tuple[str, str]] = []
    #: Set aside, in nano-dollars, and when, in seconds of the monotonic clock.
    held_nusd: int = 0
    held_at: float | None = None
    #: How the hold ended, and when.
    settlement: Settlement | None = None
    settled_at: float | None = None
    #: Code of the error that the caller was told.
    error: str | None = None
    #: Whether the reply is an earlier one, given again.
    replayed: bool = False


class RequestRecord(Struct, frozen=True):
    """One finished request."""

    #: Also the id of its hold and its usage record.
    call_id: UUID
    #: Its end, in seconds since 1970.
    ended_at: float
    #: Method and path as the table of routes has them, `unmatched` for any other.
    route: str
    #: HTTP status of the reply; `CALLER_LEFT` where there was none.
    status: int
    #: Code of the error that the caller was told, also where it came after the headers.
    error: str | None
    #: How a call that held money ended: `completed`, `failed`, `cut` or `abandoned`.
    outcome: str | None
    account_id: int | None
    key_id: int | None
    #: The model as the caller named it, where that is a name.
    asked: str | None
    model: str | None
    engine: str | None
    attempts: int
    failures: list[tuple[str, str]]
    stream: bool
    replayed: bool
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    #: Whether the gateway counted the tokens because the engine did not say.
    counted_by_gateway: bool
    #: Set aside; charged; used above the hold, at the operator's cost: in nano-dollars.
    held_nusd: int
    cost_nusd: int
    shortfall_nusd: int
    #: Seconds from the request's arrival: to its hold, to its settlement, to its end.
    held_s: float | None
    settled_s: float | None
    duration_s: float
    #: Milliseconds from the hold to the first content of a stream.
    first_content_ms: int | None
    #: The caller's `traceparent` header.
    trace_parent: str | None
    #: Characters that were spoken.
    characters: int = 0
    #: Milliseconds of sound that were written down.
    audio_ms: int = 0


def request_record(
    call_id: UUID,
    facts: CallFacts,
    *,
    route: str,
    status: int,
    began_at: float,
    now: float,
    ended_at: float,
    trace_parent: str | None,
) -> RequestRecord:
    """Return the record of a request that has ended; `began_at` and `now` are of the monotonic clock."""
    settled = facts.settlement
    cost = settled.cost_nusd if settled is not None else 0
    return RequestRecord(
        call_id,
        ended_at,
        route,
        status,
        facts.error,
        settled.outcome.name.lower() if settled is not None else None,
        facts.account_id,
        facts.key_id,
        facts.asked if facts.asked is not None and _NAME.fullmatch(facts.asked) else None,
        facts.model,
        facts.engine,
        facts.attempts,
        facts.failures,
        facts.stream,
        facts.replayed,
        settled.prompt_tokens if settled is not None else 0,
        settled.cached_tokens if settled is not None else 0,
        settled.completion_tokens if settled is not None else 0,
        settled.reasoning_tokens if settled is not None else 0,
        settled is not None and settled.counted_by_gateway,
        facts.held_nusd,
        min(cost, facts.held_nusd),
        max(cost - facts.held_nusd, 0),
        facts.held_at - began_at if facts.held_at is not None else None,
        facts.settled_at - began_at if facts.settled_at is not None else None,
        now - began_at,
        settled.first_content_ms if settled is not None else None,
        trace_parent,
        settled.characters if settled is not None else 0,
        settled.audio_ms if settled is not None else 0,
    )
