"""Promise P1: money is conserved. Random operations of several processes, each answer compared with the model."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import pytest

from minitoolai.core.ledger import HoldRequest, Resolution, Settlement
from minitoolai.storage.ledger import PgLedger
from tests.storage.desk import Desk, ask, cost, hold_all, new_id, settle_all
from tests.support.ledger_model import LedgerModel, ModelAccount, ModelKey

#: Amounts are small, so that every bound is met again and again.
MOST = 1000


class Actor:
    """A customer's account with its keys: used through any process, one batch after the other, so that the model
    knows the order. Other actors work at the same time, in the same batches."""

    def __init__(self, desk: Desk, ledgers: list[PgLedger], chance: random.Random) -> None:
        self._desk = desk
        self._ledgers = ledgers
        self._chance = chance
        self.model = LedgerModel()
        #: Ids of ended calls, some of which are settled once more.
        self._ended: list[UUID] = []
        self.operations = 0

    async def open(self) -> None:
        """Make the account and three keys."""
        self.account = await self._desk.account(0)
        self._name = (await self._desk.accounts.show_by_id(self.account)).name
        self.model.accounts[self.account] = ModelAccount()
        self._keys = []
        for limit in (None, 3 * MOST, 40 * MOST):
            key = await self._desk.key(self.account, limit)
            self._keys.append(key)
            self.model.keys[key] = ModelKey(self.account, limit)

    async def act(self) -> None:
        """Do something."""
        steps = [self.hold, self.settle, self.credit, self.die, self.late, self.suspend]
        (step,) = self._chance.choices(steps, [40, 40, 8, 4, 6, 2])
        await step()

    async def hold(self) -> None:
        """Ask for some holds in one batch."""
        asked = [self._ask() for _ in range(self._chance.randint(1, 6))]
        answers = await hold_all(self._chance.choice(self._ledgers), asked)
        for request, answer in zip(asked, answers, strict=True):
            said = self.model.hold(request)
            assert (answer.outcome, answer.granted_nusd) == (said.outcome, said.granted_nusd)
        self.operations += len(asked)

    async def settle(self) -> None:
        """End some open holds, some calls that have ended and some that never were, in one batch."""
        known = [hold_id for hold_id, hold in self.model.holds.items() if not hold.expired]
        ids = self._some(known, 6) + self._some(self._ended, 1) + [new_id()] * (self._chance.random() < 0.2)
        await self._settle([cost(hold_id, self._chance.randrange(2 * MOST)) for hold_id in ids])

    async def late(self) -> None:
        """End some expired holds."""
        known = [hold_id for hold_id, hold in self.model.holds.items() if hold.expired]
        await self._settle([cost(hold_id, self._chance.randrange(2 * MOST)) for hold_id in self._some(known, 3)])

    async def credit(self) -> None:
        """Pay something in."""
        amount = self._chance.randrange(1, 8 * MOST)
        await self._desk.credit(self._name, amount)
        self.model.accounts[self.account].balance += amount
        self.operations += 1

    async def suspend(self) -> None:
        """Be suspended for one batch."""
        account = self.model.accounts[self.account]
        for suspended in (True, False):
            await self._desk.accounts.suspend(self._name, suspended=suspended, actor="tests")
            account.suspended = suspended
            await self.hold()

    async def die(self) -> None:
        """Make holds in a process that dies, and see them expire."""
        doomed = await self._desk.ledger()
        asked = [self._ask() for _ in range(self._chance.randint(1, 4))]
        await hold_all(doomed, asked)
        for request in asked:
            self.model.hold(request)
        open_ = [request.id for request in asked if request.id in self.model.holds]
        produced = {hold_id: self._chance.randrange(2 * MOST) for hold_id in open_}
        await doomed.renew(produced)
        await self._desk.kill(doomed)
        count = "SELECT 1 FROM holds WHERE expired_at IS NULL AND process_id = $1"
        while True:
            await self._chance.choice(self._ledgers).sweep()
            if not await self._desk.sql(count, doomed.process_id):
                break
        await doomed.close(5)
        for hold_id in open_:
            self.model.holds[hold_id].produced = produced[hold_id]
            self.model.expire(hold_id)
        self.operations += 2 * len(asked)
        await self.compare()

    async def compare(self) -> None:
        """Assert that the account and its keys are what the model says."""
        account = self.model.accounts[self.account]
        assert await self._desk.money(self.account) == (account.balance, account.held)
        rows = await self._desk.sql("SELECT id, spent, held FROM keys WHERE account_id = $1", self.account)
        assert {row["id"]: (row["spent"], row["held"]) for row in rows} == {
            key_id: (key.spent, key.held) for key_id, key in self.model.keys.items()
        }

    async def _settle(self, settlements: list[Settlement]) -> None:
        answers = await settle_all(self._chance.choice(self._ledgers), settlements)
        for settlement, answer in zip(settlements, answers, strict=True):
            said = self.model.settle(settlement)
            assert (answer.resolution, answer.charged_nusd) == (said.resolution, said.charged_nusd)
            if said.resolution in (Resolution.DONE, Resolution.LATE):
                self._ended.append(settlement.hold_id)
        if answers and said.resolution in (Resolution.DONE, Resolution.LATE) and len(answers) == 1:
            assert answer.balance_nusd == said.balance_nusd
        self.operations += len(settlements)

    def _ask(self) -> HoldRequest:
        wanted = self._chance.randrange(MOST)
        return ask(self.account, self._chance.choice(self._keys), wanted, self._chance.randint(0, wanted))

    def _some(self, ids: list[UUID], most: int) -> list[UUID]:
        return self._chance.sample(ids, min(len(ids), self._chance.randint(0, most)))


async def conserve(desk: Desk, seed: int, operations: int) -> None:
    """Let four customers and three processes do so many operations."""
    chance = random.Random(seed)
    ledgers = [await desk.ledger() for _ in range(3)]
    actors = [Actor(desk, ledgers, random.Random(chance.random())) for _ in range(4)]
    for actor in actors:
        await actor.open()

    async def work(actor: Actor, goal: int) -> None:
        while actor.operations < goal:
            await actor.act()
        await actor.compare()

    checkpoints = 10
    for checkpoint in range(1, checkpoints + 1):
        goal = operations * checkpoint // (checkpoints * len(actors))
        await asyncio.gather(*[work(actor, goal) for actor in actors], desk.clean())
    await desk.clean()
    sums = await desk.sql("SELECT credit, sum(amount)::bigint AS s FROM transfers WHERE debit > 1 GROUP BY credit")
    assert {row["credit"]: row["s"] for row in sums} == {2: sum(actor.model.revenue + actor.model.loss for actor in actors)}
    losses = await desk.sql("SELECT coalesce(sum(amount), 0)::bigint AS s FROM transfers WHERE debit = 3")
    assert losses[0]["s"] == sum(actor.model.loss for actor in actors)
    assert sum(actor.operations for actor in actors) >= operations


async def test_money_is_conserved(desk: Desk, seed: int) -> None:
    """About 5,000 operations."""
    await conserve(desk, seed, 5_000)


@pytest.mark.long
async def test_money_is_conserved_for_long(desk: Desk, seed: int) -> None:
    """The promise's own figure."""
    await conserve(desk, seed + 1, 100_000)
