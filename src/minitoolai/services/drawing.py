"""Pictures that a caller waits for: jobs like all others, made for one call and cancelled with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.errors import (
    ApiError,
    DatabaseUnavailable,
    InsufficientCredit,
    KeyRequestsLimited,
    MiniToolError,
    UpstreamTimeout,
)
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.jobs import ENDED, JobState, JobView
from minitoolai.core.ledger import Rates
from minitoolai.core.picture_errors import JobNotFound, PictureFailed
from minitoolai.core.records import CallFacts
from minitoolai.services.calls import OpenCall, OpenCalls
from minitoolai.services.jobs import Made
from minitoolai.services.metering import SETTLE_WAIT_S, new_call_id
from minitoolai.services.picture_call import PictureCall, refused_together
from minitoolai.services.picture_jobs import PictureJobs

#: A call waits so long for its pictures, in seconds: half of what OpenAI's SDKs wait by themselves.
DEADLINE_S = 300.0
#: Seconds between two looks at a job of which nothing is heard.
LOOK_S = 30.0
#: Pause before the next look where the database is away.
AWAY_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """What became of a call's pictures."""

    #: Those that are drawn, in the order of the call.
    jobs: Sequence[JobView]
    rates: Rates | None
    #: Whether all of them are an earlier call's (`Idempotency-Key`).
    replayed: bool

    @property
    def cost_nusd(self) -> int:
        """What they cost."""
        return sum(job.cost_nusd for job in self.jobs)


@dataclass
class _Waiting:
    """The jobs of one call, as far as it has come."""

    made: list[Made] = field(default_factory=list)
    #: The calls of those that this one made, by job: they are cancelled with it.
    own: dict[int, UUID] = field(default_factory=dict)
    #: Those that have ended, as they stand.
    ended: dict[int, JobView] = field(default_factory=dict)

    def drawn(self) -> list[JobView]:
        """Return the jobs whose pictures are there, in order."""
        found = (self.ended.get(made.job_id) for made in self.made)
        return [job for job in found if job is not None and job.state is JobState.SUCCEEDED]


class Drawing:
    """Calls that wait for their pictures."""

    def __init__(self, jobs: PictureJobs, calls: OpenCalls) -> None:
        self._jobs = jobs
        self._calls = calls

    async def draw(self, principal: Principal, call_id: UUID, call: PictureCall, facts: CallFacts | None = None) -> Drawn:
        """Make a job for each picture, wait for them, and return those that are drawn, at least one.

        Jobs that have not ended are cancelled when the caller leaves, when one cannot be made, after `DEADLINE_S`, and
        when this process stops; what was drawn by then is given. Raises `ApiError`, and `CallerLeft` when interrupted so.
        """
        facts, waiting = facts or CallFacts(), _Waiting()
        opened = self._open(call_id, call)
        reason: MiniToolError | None = None
        try:
            await self._make(principal, call_id, call, waiting, facts)
            await self._wait(waiting)
        except asyncio.CancelledError:
            reason = opened.interrupted()
        except ApiError as failure:
            reason = failure
        except Exception:
            self._undo(waiting)
            raise
        finally:
            opened.paid = True
            self._calls.remove(opened)
            opened.let_go()
        undone = self._undo(waiting)
        if isinstance(reason, CallerLeft):
            raise reason
        if reason is not None:
            await self._look_back(waiting, undone)
        drawn = waiting.drawn()
        if not drawn:
            raise reason or _failure(call, waiting)
        return Drawn(drawn, waiting.made[-1].rates, replayed=not waiting.own)

    def _open(self, call_id: UUID, call: PictureCall) -> OpenCall:
        """Let the clock watch over the call: nothing is held by this process for it, so that it costs nothing so far."""
        task = asyncio.current_task()
        assert task is not None
        opened = OpenCall(call_id, task, lambda: 0)
        opened.deadline = asyncio.get_running_loop().time() + DEADLINE_S
        opened.expire = lambda: UpstreamTimeout(model=call.model)
        self._calls.add(opened)
        return opened

    async def _make(
        self, principal: Principal, call_id: UUID, call: PictureCall, waiting: _Waiting, facts: CallFacts
    ) -> None:
        held = 0
        for index in range(call.count):
            own = call_id if index == 0 else new_call_id()
            try:
                made = await self._jobs.create(principal, own, call.nth(index), facts)
            except (InsufficientCredit, KeyRequestsLimited) as refusal:
                raise refused_together(refusal, call.count, held) from None
            waiting.made.append(made)
            if not made.replayed:
                waiting.own[made.job_id] = own
                held += facts.held_nusd
        facts.held_nusd = held
        facts.replayed = not waiting.own

    async def _wait(self, waiting: _Waiting) -> None:
        """Wait until all jobs have ended, one after the other."""
        for made in waiting.made:
            while made.job_id not in waiting.ended:
                try:
                    job = await self._jobs.desk.look(made.job_id, LOOK_S)
                except DatabaseUnavailable:
                    await asyncio.sleep(AWAY_PAUSE_S)  # the job may be drawn all the same
                    continue
                if job.state in ENDED:
                    waiting.ended[job.id] = job

    def _undo(self, waiting: _Waiting) -> list[asyncio.Task[None]]:
        """Have what has not ended cancelled."""
        return [self._jobs.desk.undo(job, own) for job, own in waiting.own.items() if job not in waiting.ended]

    async def _look_back(self, waiting: _Waiting, undone: Sequence[asyncio.Task[None]]) -> None:
        """See what was drawn before it could be cancelled: what is charged is given."""
        if undone:
            await asyncio.wait(undone, timeout=SETTLE_WAIT_S)
        for made in waiting.made:
            if made.job_id not in waiting.ended:
                with contextlib.suppress(DatabaseUnavailable, JobNotFound):
                    waiting.ended[made.job_id] = await self._jobs.desk.look(made.job_id)


def _failure(call: PictureCall, waiting: _Waiting) -> PictureFailed:
    """Return what the caller is told none of whose pictures was drawn."""
    why = next((job.message for job in waiting.ended.values() if job.message), None)
    return PictureFailed(model=call.model, why=why or "nothing more is known of it.")
