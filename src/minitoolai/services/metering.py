"""The one bracket around every paid call: hold, run, then capture or release, each exactly once.

Settling survives the caller: it is handed to the ledger's own task, so that a cancelled reply loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.errors import (
    AccountSuspended,
    DatabaseUnavailable,
    HoldAlreadyResolved,
    InsufficientCredit,
    InvalidApiKey,
    KeyLimitReached,
)
from minitoolai.core.ids import uuid7
from minitoolai.core.ledger import (
    CallOutcome,
    HoldOutcome,
    HoldRequest,
    Resolution,
    Settled,
    Settlement,
)
from minitoolai.core.money import format_usd
from minitoolai.services.ports import Ledger

#: With the database away at the end of a call its reply waits so long, then goes without a balance.
SETTLE_WAIT_S = 2.0

log = logging.getLogger(__name__)


def new_call_id() -> UUID:
    """Return the id of a new call: its hold, its request id, its usage record."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


class Hold:
    """Money set aside for one call. Ends once, by `settle`."""

    __slots__ = ("_ledger", "_settled", "available_nusd", "granted_nusd", "id")

    def __init__(self, ledger: Ledger, hold_id: UUID, granted_nusd: int, available_nusd: int) -> None:
        self._ledger = ledger
        self._settled = False
        self.id = hold_id
        self.granted_nusd = granted_nusd
        self.available_nusd = available_nusd

    @property
    def settled(self) -> bool:
        """Whether the hold was ended."""
        return self._settled

    def settle(self, settlement: Settlement) -> asyncio.Future[Settled]:
        """End the hold. Raises `HoldAlreadyResolved` the second time."""
        if self._settled:
            raise HoldAlreadyResolved(hold_id=self.id)
        self._settled = True
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

    async def hold(
        self, principal: Principal, call_id: UUID, *, min_nusd: int, wanted_nusd: int, model: str, engine: str
    ) -> Hold:
        """Set aside as much as is wanted and there, at least `min_nusd`.

        Raises `InsufficientCredit`, `KeyLimitReached`, `InvalidApiKey`, `AccountSuspended`, `DatabaseUnavailable`.
        """
        request = HoldRequest(call_id, principal.account_id, principal.key_id, min_nusd, wanted_nusd, model, engine)
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
            return Hold(self._ledger, call_id, answer.granted_nusd, answer.available_nusd)
        facts = {"needed": format_usd(min_nusd), "available": format_usd(max(answer.available_nusd, 0))}
        if answer.outcome is HoldOutcome.NO_CREDIT:
            raise InsufficientCredit(**facts)
        if answer.outcome is HoldOutcome.KEY_LIMIT:
            raise KeyLimitReached(**facts)
        if answer.outcome is HoldOutcome.ACCOUNT_SUSPENDED:
            raise AccountSuspended()
        raise InvalidApiKey(why="This key was revoked or has expired.")


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
