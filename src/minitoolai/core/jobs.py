"""Jobs: work that outlives the call that asked for it. The states a job goes through, and what is known of one.

`TRANSITIONS` is the law; the functions of `storage/migrations` follow it, and the docs' diagram is drawn from it. Every
write of a worker names the attempt it belongs to: one that was given up cannot change a job any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from minitoolai.core.ledger import HoldAnswer, Repeatable

#: Attempts that may fail before a job is given up: its engine, or the store of files, does not do it.
MAX_FAILURES = 3
#: Attempts that a job may have in all before the death of a worker ends it. It is hardly the job's fault, as children draw:
#: but one that brings machine after machine down must not go on for ever.
MAX_ATTEMPTS = 10
#: Ids of jobs: nobody guesses one soon, and JavaScript reads them exactly.
MIN_JOB_ID, MAX_JOB_ID = 10**9, 2**53 - 1


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobEvent(StrEnum):
    """What can happen to a job."""

    #: A worker takes it: its attempt begins.
    CLAIM = "claim"
    #: Its attempt failed, its worker died or stopped, and it may be tried again.
    RETRY = "retry"
    #: What it makes is stored: charged in the same transaction.
    COMPLETE = "complete"
    #: It cannot succeed, or failed or was given up too often: its hold is released in the same transaction.
    FAIL = "fail"
    #: Its owner does not want it any more: its hold is released in the same transaction.
    CANCEL = "cancel"


#: What each event makes of a job; what is not here does not happen.
TRANSITIONS: Mapping[tuple[JobState, JobEvent], JobState] = {
    (JobState.QUEUED, JobEvent.CLAIM): JobState.RUNNING,
    (JobState.QUEUED, JobEvent.FAIL): JobState.FAILED,
    (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, JobEvent.RETRY): JobState.QUEUED,
    (JobState.RUNNING, JobEvent.COMPLETE): JobState.SUCCEEDED,
    (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
}
#: States in which nothing happens any more.
ENDED = frozenset(JobState) - {state for state, _ in TRANSITIONS}


def diagram() -> str:
    """Return the states as a Mermaid diagram (docs/internals/jobs.md)."""
    lines = ["stateDiagram-v2", f"    [*] --> {JobState.QUEUED}: create"]
    lines += [f"    {state} --> {after}: {event}" for (state, event), after in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in JobState if state in ENDED]
    return "\n".join(lines)


class JobKind(StrEnum):
    """What a job makes."""

    PICTURE = "picture"
    SPEECH = "speech"


class NewJob(Struct, frozen=True):
    """A job that is asked for: written together with its hold, or not at all."""

    #: Drawn by the caller of `Jobs.create`, in `MIN_JOB_ID` … `MAX_JOB_ID`; drawn again where it is taken.
    id: int
    #: Of its hold and its usage record, UUID version 7.
    call_id: UUID
    account_id: int
    key_id: int
    #: What it costs when it is done, in nano-dollars: held until then.
    price_nusd: int
    model: str
    #: The engine that is tried first: workers take the jobs of the engines that they have.
    engine: str
    #: What is to be done, in clear; stored encrypted, erased when the job ends.
    request: bytes
    #: Told when the job has ended; stored encrypted; None: nobody.
    webhook_url: str | None = None
    repeatable: Repeatable | None = None
    #: The reply that a repeated call is given, in clear.
    reply: bytes | None = None
    kind: JobKind = JobKind.PICTURE
    #: Of a text that is to be spoken, and their price, nano-dollars per million: for the usage record.
    characters: int = 0
    character_nusd_per_1m: int = 0


class QueueLimits(Struct, frozen=True):
    """How many jobs may wait."""

    per_account: int
    in_all: int


class Created(Struct, frozen=True):
    """The database's word on a `NewJob`: refused by the ledger, by a limit of the queue (`waiting`), or made."""

    answer: HoldAnswer
    #: Jobs that wait already, where that is too many: nothing was held. `of_account`: of this account alone.
    full: bool = False
    of_account: bool = False
    #: Whether the id was taken: nothing was held, and another one is to be drawn.
    id_taken: bool = False


class ClaimedJob(Struct, frozen=True):
    """A job in a worker's hands."""

    id: int
    call_id: UUID
    kind: JobKind
    #: From 1: what fences every write of the worker.
    attempt: int
    model: str
    engine: str
    #: In clear.
    request: bytes
    created_at: datetime
    #: Attempts before this one that failed; those whose worker died or stopped are not among them.
    failures: int = 0


class JobView(Struct, frozen=True):
    """What is shown of a job."""

    id: int
    call_id: UUID
    account_id: int
    kind: JobKind
    state: JobState
    model: str
    #: How much of the present attempt is done, 0 to 1.
    progress: float
    #: From 1: how many jobs wait before it, itself included; None once it runs.
    position: int | None
    #: Why it failed, in words for its owner.
    message: str | None
    #: What was charged, in nano-dollars.
    cost_nusd: int
    #: Facts of the result, as the worker gave them (`{"seed": 7}`).
    result: Mapping[str, int]
    created_at: datetime
    ended_at: datetime | None
    #: Of the text that is to be spoken, as it is charged; of pictures 0.
    characters: int = 0
    #: The name of the file that it made; None: there is none yet, or not any more.
    file: str | None = None

    @property
    def extension(self) -> str:
        """How the name of its file ends, without the dot; empty where it has none."""
        return extension_of(self.file or "")


class StoredFile(Struct, frozen=True):
    """Where what a job made is kept."""

    name: str
    size_bytes: int

    @property
    def extension(self) -> str:
        """How its name ends, without the dot."""
        return extension_of(self.name)


def extension_of(name: str) -> str:
    """Return how the name of a job's file ends, without the dot."""
    return name.rpartition(".")[2] if "." in name else ""
