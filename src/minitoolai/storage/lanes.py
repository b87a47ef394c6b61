"""Group commit: everything that waits while the last batch is in flight goes out as the next one.

No timer: a fixed window cost 2-5 ms a call, and natural batches are as large as the load makes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from minitoolai.core.errors import DatabaseUnavailable, ServerError

Operation = TypeVar("Operation")
Answer = TypeVar("Answer")

#: Larger batches gained nothing and made the first of them wait.
MOST_PER_BATCH = 512
#: A deadlock or a race on a constraint goes away when the batch is repeated.
MOST_REPEATS = 3
#: Pauses between attempts of operations that must not be lost, while the database is away.
RETRY_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)

_REPEATABLE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
#: An operation that must not be lost and that the database refuses is tried again after so long.
PARK_S = 5.0

log = logging.getLogger(__name__)


class BatchLane(Generic[Operation, Answer]):
    """One queue of operations, flushed in batches by one task over one connection.

    `run(operations)` answers in their order. `patient`: operations are repeated until the database takes them;
    otherwise they fail with `DatabaseUnavailable`, and `unsure(operation)` is told, since the server may have done
    them all the same.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Operation]], Awaitable[Sequence[Answer]]],
        *,
        patient: bool,
        unsure: Callable[[Operation], None] = lambda _: None,
        unwanted: Callable[[Operation, Answer], None] = lambda _operation, _answer: None,
    ) -> None:
        self._run = run
        self._patient = patient
        self._unsure = unsure
        self._unwanted = unwanted
        self._waiting: list[tuple[Operation, asyncio.Future[Answer]]] = []
        self._parked: list[tuple[Operation, asyncio.Future[Answer]]] = []
        self._in_flight: list[tuple[Operation, asyncio.Future[Answer]]] = []
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def submit(self, operation: Operation) -> asyncio.Future[Answer]:
        """Queue `operation`; the future carries its answer. A cancelled future takes back what was not sent."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((operation, future))
        if self._task is None:
            self._task = loop.create_task(self._work(), name="ledger lane")
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        return future

    @property
    def pending(self) -> int:
        """Operations that have no answer yet."""
        return len(self._waiting) + len(self._in_flight) + len(self._parked)

    async def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is pending, at most `timeout_s`; whether that came true."""
        waiting = [future for _, future in self._waiting + self._in_flight + self._parked if not future.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)
        return not self.pending

    async def close(self) -> None:
        """Stop the lane; what is still pending fails."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        for _, future in self._in_flight + self._waiting + self._parked:
            if not future.done():
                future.set_exception(DatabaseUnavailable())
        self._waiting.clear()
        self._parked.clear()
        self._in_flight = []

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._waiting:
                self._wake = loop.create_future()
                await self._wake
            batch = [pair for pair in self._waiting[:MOST_PER_BATCH] if not pair[1].cancelled()]
            del self._waiting[:MOST_PER_BATCH]
            self._in_flight = batch
            if batch:
                await self._flush(batch)
            self._in_flight = []

    async def _flush(self, batch: list[tuple[Operation, asyncio.Future[Answer]]]) -> None:
        operations = [operation for operation, _ in batch]
        try:
            answers = await self._answers(operations)
        except DatabaseUnavailable as error:
            for operation, future in batch:
                self._unsure(operation)
                if not future.done():
                    future.set_exception(error)
        except Exception:  # the loop's boundary: an operation may fail, the lane must not  # noqa: BLE001
            await self._one_by_one(batch)
        else:
            for (operation, future), answer in zip(batch, answers, strict=True):
                self._answer(operation, future, answer)

    def _answer(self, operation: Operation, future: asyncio.Future[Answer], answer: Answer) -> None:
        if future.cancelled():
            self._unwanted(operation, answer)
        else:
            future.set_result(answer)

    async def _one_by_one(self, batch: list[tuple[Operation, asyncio.Future[Answer]]]) -> None:
        """Run a batch that the database refused singly, so that one bad operation fails alone."""
        for operation, future in batch:
            try:
                (answer,) = await self._answers([operation])
            except DatabaseUnavailable as error:
                self._unsure(operation)
                if not future.done():
                    future.set_exception(error)
            except Exception as error:  # as above
                log.exception("the database refused an operation of the ledger")
                if self._patient and not isinstance(error, asyncpg.DataError):  # no column would ever hold it
                    self._park(operation, future)
                elif not future.done():
                    failure = ServerError()
                    failure.__cause__ = error
                    future.set_exception(failure)
            else:
                self._answer(operation, future, answer)

    def _park(self, operation: Operation, future: asyncio.Future[Answer]) -> None:
        """Try an operation again later: what refuses it (a server turned read-only, a missing partition) may pass."""
        self._parked.append((operation, future))
        asyncio.get_running_loop().call_later(PARK_S, self._unpark)

    def _unpark(self) -> None:
        self._waiting += self._parked
        self._parked.clear()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _answers(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        attempt = repeats = 0
        while True:
            try:
                return await self._run(operations)
            except _REPEATABLE:
                repeats += 1
                if repeats > MOST_REPEATS:
                    raise
                await asyncio.sleep(RETRY_PAUSES_S[0])
            except DatabaseUnavailable:
                if not self._patient:
                    raise
                if attempt == 0:
                    log.warning("the database is away: %d settlements wait for it", len(operations))
                await asyncio.sleep(RETRY_PAUSES_S[min(attempt, len(RETRY_PAUSES_S) - 1)])
                attempt += 1
