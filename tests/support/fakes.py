"""Fakes of the ports of `services`: they keep the ports' promises in memory and do as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import ApiError, DatabaseUnavailable
from minitoolai.core.inference import ChatRequest, Usage
from minitoolai.core.ledger import HoldAnswer, HoldRequest, Rates, Repeatable, Settled, Settlement
from tests.support.ledger_model import LedgerModel, ModelAccount, ModelKey

ACCOUNT_ID = 1000
KEY_ID = 2000


class FakeLedger:
    """A ledger in memory that answers in the next turn of the loop, unless it is `away` or `paused`."""

    def __init__(self, balance_nusd: int = 10**12, *, limit_nusd: int | None = None) -> None:
        self.model = LedgerModel({ACCOUNT_ID: ModelAccount(balance_nusd)}, {KEY_ID: ModelKey(ACCOUNT_ID, limit_nusd)})
        self.away = False
        #: Answers wait while it is set.
        self.paused = False
        #: What a settlement fails with, for a database that refuses it.
        self.refuse: ApiError | None = None
        #: Called after each answer, in the turn in which it was given.
        self.answered: Callable[[], object] = lambda: None
        self.asked: list[HoldRequest] = []
        self.settlements: list[Settlement] = []
        self.results: list[Settled] = []
        self.leases: list[str] = []
        self.renewed: list[dict[UUID, int]] = []
        #: What the next renewals answer, then True; an error is raised.
        self.alive: list[bool | Exception] = []
        self.swept = 0

    def hold(self, request: HoldRequest) -> asyncio.Future[HoldAnswer]:
        """Ask for a hold."""
        self.asked.append(request)
        future: asyncio.Future[HoldAnswer] = asyncio.get_running_loop().create_future()
        self._later(lambda: self._hold(request, future))
        return future

    def settle(self, settlement: Settlement) -> asyncio.Future[Settled]:
        """End a hold."""
        self.settlements.append(settlement)
        future: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._later(lambda: self._settle(settlement, future))
        return future

    async def register(self) -> None:
        """Begin a lease."""
        self.leases.append("register")

    async def renew(self, produced: Mapping[UUID, int]) -> bool:
        """Renew it."""
        self.renewed.append(dict(produced))
        self.leases.append("renew")
        answer = self.alive.pop(0) if self.alive else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sweep(self) -> int:
        """Expire nothing; say how many."""
        self.leases.append("sweep")
        return self.swept

    @property
    def balance(self) -> int:
        """The account's balance."""
        return self.model.accounts[ACCOUNT_ID].balance

    @property
    def held(self) -> int:
        """What is set aside."""
        return self.model.accounts[ACCOUNT_ID].held

    def _later(self, answer: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            if self.paused:
                loop.call_later(0.001, turn)
            else:
                answer()
                self.answered()

        loop.call_soon(turn)

    def _hold(self, request: HoldRequest, future: asyncio.Future[HoldAnswer]) -> None:
        if future.cancelled():
            return
        if self.away:
            future.set_exception(DatabaseUnavailable(retry_after_s=2))
        else:
            future.set_result(self.model.hold(request))

    def _settle(self, settlement: Settlement, future: asyncio.Future[Settled]) -> None:
        if self.refuse is not None:
            future.set_exception(self.refuse)
            return
        result = self.model.settle(settlement)
        self.results.append(result)
        if not future.cancelled():
            future.set_result(result)


class FakeKeys:
    """Keys in memory."""

    def __init__(self, keys: Mapping[bytes, Principal] | None = None) -> None:
        self.keys = dict(keys or {})
        self.away = False
        #: How often it was asked.
        self.asked = 0

    async def find(self, digest: bytes) -> Principal | None:
        """Return whom a key is for."""
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable(retry_after_s=2)
        return self.keys.get(digest)


def principal(
    *, models: frozenset[str] | None = None, expires_at: datetime | None = None, revoked: bool = False
) -> Principal:
    """The caller of most tests."""
    return Principal(ACCOUNT_ID, KEY_ID, models, expires_at, revoked, suspended=False)


#: What an engine may do next: give bytes, fail, or do something of the test's and then give bytes.
Step = bytes | Exception | Callable[[], "asyncio.Future[bytes]"]


class FakeReply:
    """A reply that follows its script, then ends."""

    def __init__(self, steps: Iterable[Step], counted: Usage | None = None) -> None:
        self._steps = list(steps)
        self._counted = counted
        self.closed = 0

    async def read(self) -> bytes:
        """Follow the script."""
        await asyncio.sleep(0)
        if not self._steps:
            return b""
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, bytes) else await step()

    def counted(self) -> Usage | None:
        """Return what the test says."""
        return self._counted

    def close(self) -> None:
        """Count the calls."""
        self.closed += 1


class FakeEngine:
    """An engine with one scripted reply."""

    fetches_images = True
    knows_vocabulary = True

    def __init__(self, *steps: Step, counted: Usage | None = None, prompt_tokens: int = 10, name: str = "fake") -> None:
        self.name = name
        self.reply = FakeReply(steps, counted)
        self.prompt_tokens = prompt_tokens
        self.between_bytes_s = 120.0
        self.total_s = 1800.0
        #: What `open` does first.
        self.before_headers: Step = b""
        #: The limits that it was told.
        self.limits: list[int] = []
        self.counts = 0
        #: What it is known not to do.
        self.refuses: ApiError | None = None

    def check(self, model: ChatModel, request: ChatRequest) -> None:
        """Refuse what the test says."""
        if self.refuses is not None:
            raise self.refuses

    async def count_prompt(self, model: ChatModel, request: ChatRequest) -> int:
        """Return what the test says."""
        self.counts += 1
        await asyncio.sleep(0)
        return self.prompt_tokens

    async def open(self, model: ChatModel, request: ChatRequest, max_completion_tokens: int) -> FakeReply:
        """Return the scripted reply."""
        self.limits.append(max_completion_tokens)
        await asyncio.sleep(0)
        step = self.before_headers
        if isinstance(step, Exception):
            raise step
        if not isinstance(step, bytes):
            await step()
        return self.reply


class FakeSink:
    """A caller's connection."""

    def __init__(self) -> None:
        self.started = False
        self.last_write = asyncio.get_running_loop().time()
        self.blocked_since: float | None = None
        self.written: list[bytes] = []
        self.comments = 0
        #: What it was told for its headers.
        self.rates: Rates | None = None
        self.replayed = False
        #: Called with what is being written, before it is.
        self.before_write: Callable[[bytes], asyncio.Future[None] | None] = lambda _: None

    def granted(self, rates: Rates | None, *, replayed: bool = False) -> None:
        """Keep it."""
        self.rates, self.replayed = rates, replayed

    async def write(self, frames: bytes) -> None:
        """Take frames."""
        self.started = True
        wait = self.before_write(frames)
        if wait is not None:
            self.blocked_since = asyncio.get_running_loop().time()
            await wait
        self.blocked_since = None
        self.written.append(frames)
        self.last_write = asyncio.get_running_loop().time()

    def keep_alive(self) -> None:
        """Count the comment lines."""
        self.comments += 1
        self.last_write = asyncio.get_running_loop().time()

    @property
    def text(self) -> str:
        """All that was written."""
        return b"".join(self.written).decode()


class FakePictures:
    """Pictures that are there."""

    def __init__(self) -> None:
        #: Bodies that came.
        self.asked: list[Mapping[str, Any]] = []
        #: What the next ones fail with.
        self.failure: ApiError | None = None

    async def inline(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Put a mark in the body."""
        self.asked.append(body)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return {**body, "inlined": True}


class FakeReplays:
    """Replies by call."""

    def __init__(self) -> None:
        self.replies: dict[UUID, bytes] = {}
        #: Those that were answered, by account and what makes them the same.
        self.calls: dict[tuple[int, Repeatable], UUID] = {}

    async def find(self, call_id: UUID) -> bytes | None:
        """Return a reply."""
        await asyncio.sleep(0)
        return self.replies.get(call_id)

    async def answered(self, account_id: int, call: Repeatable) -> UUID | None:
        """Return the call that the test says."""
        await asyncio.sleep(0)
        return self.calls.get((account_id, call))
