"""The one bracket around every paid call: hold, run, then capture or release, each exactly once.

Settling survives the caller: it is handed to the ledger's own task, so that a cancelled reply loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.errors import (
    AccountSuspended,
    DatabaseUnavailable,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InsufficientCredit,
    InvalidApiKey,
    KeyLimitReached,
    KeyRequestsLimited,
    KeyTokensLimited,
    MiniToolError,
)
from minitoolai.core.ids import uuid7
from minitoolai.core.inner_errors import AlreadyAnswered, HoldAlreadyResolved
from minitoolai.core.ledger import (
    CallOutcome,
    HoldAnswer,
    HoldOutcome,
    HoldRequest,
    Rates,
    Repeatable,
    Resolution,
    Settled,
    Settlement,
)
from minitoolai.core.money import format_usd
from minitoolai.core.records import CallFacts
from minitoolai.services.ports import Ledger, Replays

#: With the database away at the end of a call its reply waits so long, then goes without a balance.
SETTLE_WAIT_S = 2.0

log = logging.getLogger(__name__)


def new_call_id() -> UUID:
    """Return the id of a new call: its hold, its request id, its usage record."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


@dataclass
class OpenHolds:
    """The holds of this process that were not ended yet, for its metrics."""

    count: int = 0
    nusd: int = 0


class Hold:
    """Money set aside for one call. Ends once, by `settle`."""

    __slots__ = ("_holds", "_ledger", "_settled", "available_nusd", "facts", "granted_nusd", "granted_tokens", "id", "rates")

    def __init__(self, ledger: Ledger, hold_id: UUID, answer: HoldAnswer, facts: CallFacts, holds: OpenHolds) -> None:
        self._ledger = ledger
        self._settled = False
        self._holds = holds
        self.id = hold_id
        #: What is known of the call, for whoever learns more.
        self.facts = facts
        self.granted_nusd = answer.granted_nusd
        self.available_nusd = answer.available_nusd
        #: Tokens that the key's minute leaves for the call.
        self.granted_tokens = answer.granted_tokens
        #: How the key's minute stands.
        self.rates = answer.rates
        facts.held_nusd, facts.held_at = answer.granted_nusd, time.monotonic()
        holds.count += 1
        holds.nusd += answer.granted_nusd

    @property
    def settled(self) -> bool:
        """Whether the hold was ended."""
        return self._settled

    def settle(self, settlement: Settlement) -> asyncio.Future[Settled]:
        """End the hold. Raises `HoldAlreadyResolved` the second time."""
        if self._settled:
            raise HoldAlreadyResolved(hold_id=self.id)
        self._settled = True
        self.facts.settlement, self.facts.settled_at = settlement, time.monotonic()
        self._holds.count -= 1
        self._holds.nusd -= self.granted_nusd
        if settlement.cost_nusd > self.granted_nusd:
            log.error(
                "call %s used %s USD, %s more than its hold: the operator bears the difference",
                self.id,
                format_usd(settlement.cost_nusd),
                format_usd(settlement.cost_nusd - self.granted_nusd),
            )
        future = self._ledger.settle(settlement)
        future.add_done_callback(_report)
        return future

    def release(self, outcome: CallOutcome) -> None:
        """End the hold with nothing charged."""
        self.settle(Settlement(self.id, 0, outcome))


class Metering:
    """Makes holds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.holds = OpenHolds()

    async def hold(
        self,
        principal: Principal,
        call_id: UUID,
        *,
        min_nusd: int,
        wanted_nusd: int,
        model: str,
        engine: str,
        min_tokens: int = 0,
        wanted_tokens: int = 0,
        repeatable: Repeatable | None = None,
        facts: CallFacts | None = None,
    ) -> Hold:
        """Set aside as much as is wanted and there, at least `min_nusd`; likewise tokens of the key's minute.

        `facts` are told of the hold, and by it of its settlement.

        Raises `InsufficientCredit`, `KeyLimitReached`, `InvalidApiKey`, `AccountSuspended`, `KeyRateLimited`,
        `IdempotencyInProgress`, `IdempotencyMismatch`, `AlreadyAnswered`, `DatabaseUnavailable`.
        """
        facts = facts or CallFacts()
        facts.account_id, facts.key_id = principal.account_id, principal.key_id
        facts.model, facts.engine = model, engine
        request = HoldRequest(
            call_id, principal.account_id, principal.key_id, min_nusd, wanted_nusd, model, engine,
            min_tokens, wanted_tokens, repeatable,
        )  # fmt: skip
        future = self._ledger.hold(request)
        try:
            answer = await future
        except asyncio.CancelledError:
            # Cancelled between the answer and our waking up: what was granted has no owner.
            answered = future.done() and not future.cancelled() and future.exception() is None
            if answered and future.result().outcome is HoldOutcome.GRANTED:
                self._ledger.settle(Settlement(call_id, 0, CallOutcome.ABANDONED))
            raise
        if answer.outcome is HoldOutcome.GRANTED:
            return Hold(self._ledger, call_id, answer, facts, self.holds)
        raise refusal(request, answer)


def refusal(request: HoldRequest, answer: HoldAnswer) -> MiniToolError:
    """Return what the caller of a refused call is told."""
    outcome, rates = answer.outcome, answer.rates
    facts = {"needed": format_usd(request.min_nusd), "available": format_usd(max(answer.available_nusd, 0))}
    if outcome is HoldOutcome.NO_CREDIT:
        return InsufficientCredit(**facts)
    if outcome is HoldOutcome.KEY_LIMIT:
        return KeyLimitReached(**facts)
    if outcome is HoldOutcome.ACCOUNT_SUSPENDED:
        return AccountSuspended()
    if outcome is HoldOutcome.IN_PROGRESS:
        return IdempotencyInProgress(param="idempotency-key")
    if outcome is HoldOutcome.OTHER_BODY:
        return IdempotencyMismatch(param="idempotency-key")
    if outcome is HoldOutcome.REPLAY and answer.earlier is not None:
        return AlreadyAnswered(call_id=answer.earlier, rates=rates)
    if outcome is HoldOutcome.RATE_REQUESTS and rates is not None:
        return KeyRequestsLimited(rates=rates, retry_after_s=_seconds(rates), limit=rates.request_limit)
    if outcome is HoldOutcome.RATE_TOKENS and rates is not None:
        return KeyTokensLimited(
            rates=rates,
            retry_after_s=_seconds(rates),
            limit=rates.token_limit,
            left=rates.tokens_left,
            needed=request.min_tokens,
        )
    return InvalidApiKey(why="This key was revoked or has expired.")


async def earlier_reply(replays: Replays, answered: AlreadyAnswered) -> bytes:
    """Return the reply that is to be given again, as its settlement gave it.

    Raises `IdempotencyInProgress` where it was erased at this very moment.
    """
    reply = await replays.find(answered.call_id)
    if reply is None:
        raise IdempotencyInProgress(param="idempotency-key")
    return reply


def _seconds(rates: Rates) -> int:
    """Return the seconds until a minute ends, rounded up."""
    return max(1, -(-rates.resets_in_ms // 1000))


async def look_back(replays: Replays, principal: Principal, call: Repeatable | None) -> None:
    """Raise `AlreadyAnswered` for a call that repeats an earlier one: its reply is there also while no engine is."""
    call_id = None if call is None else await replays.answered(principal.account_id, call)
    if call_id is not None:
        raise AlreadyAnswered(call_id=call_id)


async def settled_soon(future: asyncio.Future[Settled]) -> Settled | None:
    """Wait for a settlement, at most `SETTLE_WAIT_S`; None when the database does not take it in that time."""
    try:
        async with asyncio.timeout(SETTLE_WAIT_S):
            return await asyncio.shield(future)
    except (TimeoutError, DatabaseUnavailable):
        return None


def _report(future: asyncio.Future[Settled]) -> None:
    """Say what the ledger made of a settlement that nobody may be awaiting any more."""
    if future.cancelled():
        return
    failure = future.exception()
    if failure is not None:
        log.error("a settlement was not taken: %s", failure)
    elif future.result().resolution is Resolution.MISSING:
        log.error("a settlement found no hold and no record of one")
