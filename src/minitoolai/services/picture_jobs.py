"""The use case of pictures: jobs are made with their hold, asked about, waited for and cancelled. Workers draw them."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.core.errors import (
    DatabaseUnavailable,
    NoEngine,
    ServiceUnavailable,
)
from minitoolai.core.inner_errors import AlreadyAnswered
from minitoolai.core.job_replies import created_body
from minitoolai.core.jobs import ENDED, MAX_JOB_ID, MIN_JOB_ID, Created, JobView, NewJob
from minitoolai.core.ledger import HoldOutcome, Rates
from minitoolai.core.picture_errors import (
    AccountQueueFull,
    JobNotFound,
    QueueFull,
)
from minitoolai.core.pictures import MAX_SEED
from minitoolai.core.quotes import Quote, QuoteLine
from minitoolai.core.records import CallFacts
from minitoolai.core.signatures import check_job, job_signature
from minitoolai.services.access import check_model
from minitoolai.services.metering import earlier_reply, look_back
from minitoolai.services.picture_call import PictureCall, refused
from minitoolai.services.picture_ports import JobNews, Jobs
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


class PictureJobs:
    """The jobs of pictures of one process."""

    def __init__(
        self,
        catalog: Catalog,
        jobs: Jobs,
        news: JobNews,
        replays: Replays,
        *,
        signature_key: bytes,
        chance: random.Random,
    ) -> None:
        """`signature_key` signs jobs; `chance` draws their ids and seeds, so that nobody guesses them."""
        self._catalog = catalog
        self._jobs = jobs
        self._news = news
        self._replays = replays
        self._signature_key = signature_key
        self._chance = chance
        #: Jobs that are being cancelled after their callers left.
        self._undoing: set[asyncio.Task[None]] = set()

    def new_seed(self) -> int:
        """Return a seed for a picture whose caller gives none."""
        return self._chance.randrange(MAX_SEED + 1)

    async def create(self, principal: Principal, call_id: UUID, call: PictureCall, facts: CallFacts | None = None) -> Made:
        """Hold a picture's price and put its job into the queue, or neither; `facts` are told what is learnt of it.

        A caller that leaves meanwhile has no job, unless it repeats the call in time. Raises `ApiError`.
        """
        facts = facts or CallFacts()
        try:
            return await self._create(principal, call_id, call, facts)
        except AlreadyAnswered as answered:
            facts.replayed = True
            reply = await earlier_reply(self._replays, answered)
            return Made(msgspec.json.decode(reply, type=CreatedReply).jobid, reply, answered.rates, replayed=True)

    def quote(self, principal: Principal, call: PictureCall, facts: CallFacts | None = None) -> Quote:
        """Return what the call's pictures cost. Raises `ApiError`."""
        model, call = self._fit(principal, call, facts or CallFacts())
        cost = call.count * model.image_nusd
        return Quote(model.id, cost, None, (QuoteLine("images", call.count, None, cost),))

    async def ask(self, job_id: int, signature: str, wait_s: float = 0.0) -> JobView:
        """Return how the job stands for whoever has its signature; one that has not ended is waited for.

        Raises `JobNotFound`: nothing is looked up for a wrong signature, so that no job can be probed.
        """
        if not check_job(self._signature_key, job_id, signature):
            raise JobNotFound()
        return await self.look(job_id, wait_s)

    async def look(self, job_id: int, wait_s: float = 0.0) -> JobView:
        """Return how a job stands, or how it does once there may be news of it, at the latest after `wait_s`.

        Raises `JobNotFound`, `DatabaseUnavailable`.
        """
        if wait_s <= 0:
            return await self._found(job_id)
        news = asyncio.create_task(self._news.ended(job_id, wait_s))
        try:
            await asyncio.sleep(0)  # it listens before we look: an end in between is heard
            job = await self._found(job_id)
            if job.state in ENDED:
                return job
            await news
        finally:
            news.cancel()
        return await self._found(job_id)

    async def owned(self, principal: Principal, job_id: int) -> JobView:
        """Return how a job of the principal's account stands. Raises `JobNotFound`."""
        job = await self._jobs.find(job_id)
        if job is None or job.account_id != principal.account_id:
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

    def _fit(self, principal: Principal, call: PictureCall, facts: CallFacts) -> tuple[PictureModel, PictureCall]:
        """Return the model that is to draw, and what. Raises `ApiError` where the key may not use it, or it does not
        draw that."""
        facts.asked = call.model
        model = self._catalog.picture_model(call.model)
        facts.model, facts.engine = model.id, model.engine
        check_model(principal, model)
        return model, call.fitted(model)

    async def _create(self, principal: Principal, call_id: UUID, call: PictureCall, facts: CallFacts) -> Made:
        try:
            model, call = self._fit(principal, call, facts)
        except NoEngine:
            await look_back(self._replays, principal, call.repeatable)
            raise
        call.check_cap(model.image_nusd)
        for _ in range(DRAWS):
            new = self._new(principal, call_id, call, model)
            created = await self._make(new)
            if not created.id_taken:
                break
        else:
            raise ServiceUnavailable()
        if created.full:
            full = AccountQueueFull if created.of_account else QueueFull
            raise full(retry_after_s=FULL_RETRY_S)
        if created.answer.outcome is not HoldOutcome.GRANTED:
            raise refused(new, created)
        facts.held_nusd, facts.held_at = new.price_nusd, time.monotonic()
        assert new.reply is not None
        return Made(new.id, new.reply, created.answer.rates)

    def _new(self, principal: Principal, call_id: UUID, call: PictureCall, model: PictureModel) -> NewJob:
        """Return the job with an id drawn for it."""
        job_id = self._chance.randrange(MIN_JOB_ID, MAX_JOB_ID + 1)
        assert model.engine is not None
        return NewJob(
            job_id,
            call_id,
            principal.account_id,
            principal.key_id,
            model.image_nusd,
            model.id,
            model.engine,
            _encode(call.picture),
            webhook_url=call.webhook_url,
            repeatable=call.repeatable,
            reply=_encode(created_body(job_id, job_signature(self._signature_key, job_id))),
        )

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

    async def _found(self, job_id: int) -> JobView:
        job = await self._jobs.find(job_id)
        if job is None:
            raise JobNotFound()
        return job
