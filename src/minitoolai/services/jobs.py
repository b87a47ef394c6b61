"""The jobs of one process, of every kind: made with their hold, asked about, waited for and cancelled. Workers do them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.errors import DatabaseUnavailable, MiniToolError, NoEngine, ServiceUnavailable
from minitoolai.core.inner_errors import AlreadyAnswered
from minitoolai.core.job_replies import created_body
from minitoolai.core.jobs import ENDED, MAX_JOB_ID, MIN_JOB_ID, Created, JobKind, JobView, NewJob
from minitoolai.core.ledger import HoldOutcome, HoldRequest, Rates, Repeatable
from minitoolai.core.picture_errors import AccountQueueFull, JobNotFound, QueueFull
from minitoolai.core.records import CallFacts
from minitoolai.core.signatures import check_job, job_signature
from minitoolai.services.job_ports import JobNews, Jobs
from minitoolai.services.metering import earlier_reply, look_back, refusal
from minitoolai.services.ports import Replays

#: Ids drawn for one job: with a billion jobs kept, one in nine million is taken.
DRAWS = 5
#: Seconds after which a full queue is worth another try: about what the slowest pictures take.
FULL_RETRY_S = 10
#: Pause before a job that nobody waits for any more is looked for again, while the database is away or nothing is known.
UNDO_PAUSE_S = 1.0
#: A job whose making got no answer may still be made, by a server that waits for its account: so long, in seconds, it is
#: looked for.
DOUBT_S = 20.0
#: What the owner of a cancelled job is told.
CANCELLED = "It was cancelled. Nothing was charged."

_encode = msgspec.json.Encoder().encode


class CreatedReply(msgspec.Struct, frozen=True):
    """What the caller who made a job was told, read again."""

    jobid: int


@dataclass(frozen=True, slots=True)
class Made:
    """A job that stands."""

    job_id: int
    #: The reply to its caller, JSON.
    reply: bytes
    rates: Rates | None
    #: Whether an earlier call made it (`Idempotency-Key`).
    replayed: bool = False


class JobDesk:
    """Where jobs are asked for, and asked about."""

    def __init__(self, jobs: Jobs, news: JobNews, replays: Replays, *, signature_key: bytes, chance: random.Random) -> None:
        """`signature_key` signs jobs; `chance` draws their ids, so that nobody guesses them."""
        self._jobs = jobs
        self._news = news
        self._replays = replays
        self._signature_key = signature_key
        self._chance = chance
        #: Jobs that are being cancelled after their callers left.
        self._undoing: set[asyncio.Task[None]] = set()

    async def create(
        self,
        principal: Principal,
        repeatable: Repeatable | None,
        order: Callable[[], NewJob],
        words: Callable[[MiniToolError], MiniToolError],
        facts: CallFacts,
    ) -> Made:
        """Hold a job's price and put it into the queue, or neither; `facts` are told what is learnt of it.

        `order` returns the job, its id and its reply left open, and raises `ApiError` where the call is refused before the
        ledger is asked; `words` returns the ledger's refusals in the words of the job's kind. A caller that leaves meanwhile
        has no job, unless it repeats the call in time. Raises `ApiError`.
        """
        try:
            try:
                new = order()
            except NoEngine:
                await look_back(self._replays, principal, repeatable)
                raise
            return await self._create(new, words, facts)
        except AlreadyAnswered as answered:
            facts.replayed = True
            reply = await earlier_reply(self._replays, answered)
            return Made(msgspec.json.decode(reply, type=CreatedReply).jobid, reply, answered.rates, replayed=True)

    async def ask(self, kind: JobKind, job_id: int, signature: str, wait_s: float = 0.0) -> JobView:
        """Return how a job of a kind stands for whoever has its signature; one that has not ended is waited for.

        Raises `JobNotFound`: nothing is looked up for a wrong signature, so that no job can be probed.
        """
        if not check_job(self._signature_key, job_id, signature):
            raise JobNotFound()
        return await self.look(job_id, wait_s, kind)

    async def look(self, job_id: int, wait_s: float = 0.0, kind: JobKind | None = None) -> JobView:
        """Return how a job stands, or how it does once there may be news of it, at the latest after `wait_s`; `kind`:
        the only one that is looked for.

        Raises `JobNotFound`, `DatabaseUnavailable`.
        """
        if wait_s <= 0:
            return await self._found(job_id, kind)
        news = asyncio.create_task(self._news.ended(job_id, wait_s))
        try:
            await asyncio.sleep(0)  # it listens before we look: an end in between is heard
            job = await self._found(job_id, kind)
            if job.state in ENDED:
                return job
            await news
        finally:
            news.cancel()
        return await self._found(job_id, kind)

    async def owned(self, principal: Principal, kind: JobKind, job_id: int) -> JobView:
        """Return how a job of a kind and of the principal's account stands. Raises `JobNotFound`."""
        job = await self._found(job_id, kind)
        if job.account_id != principal.account_id:
            raise JobNotFound()
        return job

    async def cancel(self, job: JobView) -> JobView:
        """Cancel a job unless it has ended; return how it stands then."""
        if job.state in ENDED:
            return job
        await self._jobs.cancel(job.id, CANCELLED)
        return await self._found(job.id)

    def undo(self, job_id: int, call_id: UUID, *, in_doubt: bool = False) -> asyncio.Task[None]:
        """Cancel the job of a call that nobody waits for any more, however long that takes; `close` ends the trying.

        Whoever repeated the call keeps it. `in_doubt`: whether the job may be made only after this.
        """
        task = asyncio.create_task(self._undo(job_id, call_id, DOUBT_S if in_doubt else 0.0))
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)
        return task

    async def close(self, timeout_s: float) -> bool:
        """Cancel what is still to be cancelled, at most `timeout_s`; whether all was."""
        tasks = list(self._undoing)
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=timeout_s)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return not pending

    async def _create(self, new: NewJob, words: Callable[[MiniToolError], MiniToolError], facts: CallFacts) -> Made:
        for _ in range(DRAWS):
            job_id = self._chance.randrange(MIN_JOB_ID, MAX_JOB_ID + 1)
            reply = _encode(created_body(job_id, job_signature(self._signature_key, job_id)))
            new = msgspec.structs.replace(new, id=job_id, reply=reply)
            created = await self._make(new)
            if not created.id_taken:
                break
        else:
            raise ServiceUnavailable()
        if created.full:
            full = AccountQueueFull if created.of_account else QueueFull
            raise full(retry_after_s=FULL_RETRY_S)
        if created.answer.outcome is not HoldOutcome.GRANTED:
            raise words(_refused(new, created))
        facts.held_nusd, facts.held_at = new.price_nusd, time.monotonic()
        return Made(job_id, reply, created.answer.rates)

    async def _make(self, new: NewJob) -> Created:
        """Make a job. One whose caller leaves meanwhile, and one of which it is not known whether it was made, is
        cancelled: nobody will know its id."""
        making = asyncio.ensure_future(self._jobs.create(new))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(lambda _: self._undo_unwanted(new, making))
            raise
        except DatabaseUnavailable:
            self.undo(new.id, new.call_id, in_doubt=True)
            raise

    def _undo_unwanted(self, new: NewJob, making: asyncio.Future[Created]) -> None:
        """The caller left while its job was made, which is over now."""
        self.undo(new.id, new.call_id, in_doubt=making.cancelled() or making.exception() is not None)

    async def _undo(self, job_id: int, call_id: UUID, doubt_s: float) -> None:
        clock = asyncio.get_running_loop().time
        sure_at = clock() + doubt_s
        while True:
            try:
                known = await self._jobs.undo(job_id, call_id, CANCELLED) is not None
            except DatabaseUnavailable:
                pass
            else:
                if known or clock() >= sure_at:
                    return
            await asyncio.sleep(UNDO_PAUSE_S)

    async def _found(self, job_id: int, kind: JobKind | None = None) -> JobView:
        job = await self._jobs.find(job_id)
        if job is None or (kind is not None and job.kind is not kind):
            raise JobNotFound()
        return job


def _refused(new: NewJob, created: Created) -> MiniToolError:
    """Return what the caller is told whom the ledger refused."""
    asked = HoldRequest(new.call_id, new.account_id, new.key_id, new.price_nusd, new.price_nusd, new.model, new.engine)
    return refusal(asked, created.answer)
