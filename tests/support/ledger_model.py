"""What the ledger does, said once more in plain Python: the database's functions are run against it (promise P1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from minitoolai.core.ledger import HoldAnswer, HoldOutcome, HoldRequest, Resolution, Settled, Settlement


@dataclass
class ModelAccount:
    """An account; amounts in nano-dollars."""

    balance: int = 0
    held: int = 0
    suspended: bool = False


@dataclass
class ModelKey:
    """A key of an account."""

    account_id: int
    limit: int | None = None
    spent: int = 0
    held: int = 0
    usable: bool = True


@dataclass
class ModelHold:
    """An open or expired hold."""

    request: HoldRequest
    amount: int
    produced: int = 0
    charged: int = 0
    expired: bool = False


@dataclass
class LedgerModel:
    """One ledger, one operation after the other."""

    accounts: dict[int, ModelAccount] = field(default_factory=dict)
    keys: dict[int, ModelKey] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    #: What each ended call was charged.
    ended: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    revenue: int = 0
    loss: int = 0

    def hold(self, request: HoldRequest) -> HoldAnswer:
        """Set money aside."""
        account, key = self.accounts.get(request.account_id), self.keys.get(request.key_id)
        if account is None or key is None or key.account_id != request.account_id or not key.usable:
            return HoldAnswer(HoldOutcome.KEY_INVALID, 0, account.balance - account.held if account else 0)
        room, why = account.balance - account.held, HoldOutcome.NO_CREDIT
        if account.suspended:
            return HoldAnswer(HoldOutcome.ACCOUNT_SUSPENDED, 0, room)
        if key.limit is not None and key.limit - key.spent - key.held < room:
            room, why = max(key.limit - key.spent - key.held, 0), HoldOutcome.KEY_LIMIT
        if room < request.min_nusd:
            return HoldAnswer(why, 0, room)
        amount = min(room, request.wanted_nusd)
        self.holds[request.id] = ModelHold(request, amount)
        account.held += amount
        key.held += amount
        return HoldAnswer(HoldOutcome.GRANTED, amount, room - amount, request.wanted_tokens)

    def settle(self, settlement: Settlement) -> Settled:
        """End a hold."""
        hold = self.holds.pop(settlement.hold_id, None)
        if hold is None:
            charged, account_id = self.ended.get(settlement.hold_id, (0, 0))
            balance = self.accounts[account_id].balance if account_id else 0
            return Settled(Resolution.EXISTS if account_id else Resolution.MISSING, charged, balance)
        account, key = self.accounts[hold.request.account_id], self.keys[hold.request.key_id]
        due = min(settlement.cost_nusd, hold.amount) - hold.charged
        if hold.expired:
            room = account.balance - account.held
            if key.limit is not None:
                room = min(room, key.limit - key.spent - key.held)
            due, owed = max(min(due, room), 0), max(due, 0)
        else:
            owed = due
            account.held -= hold.amount
            key.held -= hold.amount
        self._charge(hold, due)
        self.loss += owed - due + max(settlement.cost_nusd - hold.amount, 0)
        self.ended[settlement.hold_id] = (hold.charged, hold.request.account_id)
        return Settled(Resolution.LATE if hold.expired else Resolution.DONE, hold.charged, account.balance)

    def expire(self, hold_id: UUID) -> None:
        """Close the call of a dead process at what it had produced."""
        hold = self.holds[hold_id]
        hold.expired = True
        self.accounts[hold.request.account_id].held -= hold.amount
        self.keys[hold.request.key_id].held -= hold.amount
        self._charge(hold, min(hold.produced, hold.amount))

    def _charge(self, hold: ModelHold, amount: int) -> None:
        hold.charged += amount
        self.accounts[hold.request.account_id].balance -= amount
        self.keys[hold.request.key_id].spent += amount
        self.revenue += amount
