"""Fakes of the jobs' ports, as their owners see them: in memory, and doing as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from minitoolai.core.errors import ApiError
from minitoolai.core.jobs import ENDED, Created, JobState, JobView, NewJob
from minitoolai.core.ledger import HoldAnswer, HoldOutcome, Rates

NOW = datetime(2026, 11, 25, tzinfo=UTC)
RATES = Rates(60, 59, 1000, 1000, 30_000)
GRANTED = Created(HoldAnswer(HoldOutcome.GRANTED, 0, 0, rates=RATES))


class FakeJobs:
    """Jobs in memory (`services.job_ports.Jobs`)."""

    def __init__(self) -> None:
        self.views: dict[int, JobView] = {}
        self.made: list[NewJob] = []
        #: What the next `create` answer in place of making the job.
        self.answers: list[Created | ApiError] = []
        #: What the next calls of any kind fail with.
        self.failures: list[ApiError] = []
        #: Looked at and cancelled, in order.
        self.looked: list[int] = []
        self.cancelled: list[int] = []
        #: Calls that were repeated and given their job again.
        self.repeated: set[UUID] = set()
        #: Called before a job is made, and after it was.
        self.making: Callable[[], asyncio.Future[None] | None] = lambda: None

    async def create(self, new: NewJob) -> Created:
        """Make it, or what the test says."""
        wait = self.making()
        await (wait if wait is not None else asyncio.sleep(0))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, ApiError):
                raise answer
            return answer
        self.made.append(new)
        self.views[new.id] = view(new)
        return GRANTED

    async def find(self, job_id: int) -> JobView | None:
        """Return a job."""
        self.looked.append(job_id)
        await self._turn()
        return self.views.get(job_id)

    async def cancel(self, job_id: int, why: str) -> bool:
        """Cancel a job."""
        await self._turn()
        found = self.views.get(job_id)
        if found is None or found.state in ENDED:
            return False
        self.cancelled.append(job_id)
        self.end(job_id, JobState.CANCELLED, message=why)
        return True

    async def undo(self, job_id: int, call_id: UUID, why: str) -> bool | None:
        """Cancel the job of a call, unless that was repeated."""
        self.looked.append(job_id)
        await self._turn()
        found = self.views.get(job_id)
        if found is None or found.call_id != call_id:
            return None
        return call_id not in self.repeated and await self.cancel(job_id, why)

    def end(self, job_id: int, state: JobState, *, message: str | None = None) -> None:
        """End a job; one that succeeds costs its price."""
        new = next(each for each in self.made if each.id == job_id)
        cost = new.price_nusd if state is JobState.SUCCEEDED else 0
        self.views[job_id] = msgspec.structs.replace(
            self.views[job_id], state=state, message=message, cost_nusd=cost, position=None, ended_at=NOW, result={"seed": 7}
        )

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)


class FakeNews:
    """News that come when a test says (`services.job_ports.JobNews`)."""

    def __init__(self) -> None:
        self.events: dict[int, asyncio.Event] = {}
        #: What was waited for, and how long at most.
        self.asked: list[tuple[int, float]] = []

    async def ended(self, job_id: int, timeout_s: float) -> None:
        """Wait for `tell`."""
        self.asked.append((job_id, timeout_s))
        event = self.events.setdefault(job_id, asyncio.Event())
        await event.wait()
        event.clear()

    async def queued(self, engine: str, timeout_s: float) -> None:
        """Wait for nothing: gateways take no jobs."""

    def tell(self, job_id: int) -> None:
        """Wake who waits for a job."""
        self.events.setdefault(job_id, asyncio.Event()).set()


def view(new: NewJob) -> JobView:
    """Return a job that was just made."""
    return JobView(
        new.id, new.call_id, new.account_id, new.kind, JobState.QUEUED, new.model, 0.0, 1, None, 0, {}, NOW, None,
        characters=new.characters,
    )  # fmt: skip
