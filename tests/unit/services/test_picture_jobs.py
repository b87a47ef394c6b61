"""Jobs of pictures: made with their hold or not at all, repeated, undone where nobody would know of them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import msgspec
import pytest

from minitoolai.core.access import Principal
from minitoolai.core.errors import (
    AccountSuspended,
    ApiError,
    DatabaseUnavailable,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InvalidApiKey,
    InvalidValue,
    KeyRequestsLimited,
    ModelNotAllowed,
    ModelNotFound,
    NoEngine,
    ServiceUnavailable,
)
from minitoolai.core.jobs import MAX_JOB_ID, MIN_JOB_ID, Created, NewJob
from minitoolai.core.ledger import HoldAnswer, HoldOutcome, Repeatable
from minitoolai.core.picture_errors import (
    AccountQueueFull,
    PictureOverKeyLimit,
    PicturesOverCap,
    PictureUnpaid,
    QueueFull,
)
from minitoolai.core.pictures import PictureRequest
from minitoolai.core.signatures import check_job
from minitoolai.services import jobs as module
from minitoolai.services.jobs import DRAWS
from minitoolai.services.metering import new_call_id
from tests.support.clients import until
from tests.support.fakes import ACCOUNT_ID, KEY_ID, principal
from tests.support.job_fakes import RATES
from tests.unit.services.picture_room import CALL, KEY, PICTURE, PRICE, PictureRoom

AGAIN = Repeatable("key", b"digest")
TAKEN = Created(HoldAnswer(HoldOutcome.GRANTED, 0, 0), id_taken=True)


def refusal(outcome: HoldOutcome) -> Created:
    """The ledger's word."""
    return Created(HoldAnswer(outcome, 0, 1_000_000, rates=RATES))


# -- made -------------------------------------------------------------------------------------------------------


async def test_a_job_is_made() -> None:
    """With all that the worker, the ledger and the caller need; the facts are noted for the log."""
    room = PictureRoom()
    call_id = new_call_id()
    asked = replace(CALL, model="alias", webhook_url="https://a.example/", repeatable=AGAIN)
    made = await room.pictures.create(principal(), call_id, asked, room.facts)
    (new,) = room.jobs.made
    assert MIN_JOB_ID <= new.id <= MAX_JOB_ID
    assert (new.call_id, new.account_id, new.key_id, new.price_nusd) == (call_id, ACCOUNT_ID, KEY_ID, PRICE)
    assert (new.model, new.engine, new.webhook_url, new.repeatable) == ("draws", "onnx", "https://a.example/", AGAIN)
    assert msgspec.json.decode(new.request, type=PictureRequest) == PICTURE
    told = json.loads(made.reply)
    assert list(told.items())[:2] == [("status", "success"), ("jobid", new.id)]
    assert check_job(KEY, new.id, told["signature"])
    assert new.reply == made.reply
    assert (made.job_id, made.rates, made.replayed) == (new.id, RATES, False)
    facts = room.facts
    assert (facts.asked, facts.model, facts.engine, facts.held_nusd) == ("alias", "draws", "onnx", PRICE)
    assert facts.held_at is not None


async def test_an_id_that_is_taken_is_drawn_again() -> None:
    """A few times; then something is wrong, and nothing is made."""
    room = PictureRoom(10**9 + 1, 10**9 + 2)
    room.jobs.answers = [TAKEN]
    assert (await room.create()).job_id == 10**9 + 2
    room.jobs.answers = [TAKEN] * DRAWS
    with pytest.raises(ServiceUnavailable):
        await room.create()
    assert room.jobs.answers == []


@pytest.mark.parametrize(
    ("outcome", "error", "words"),
    [
        (HoldOutcome.NO_CREDIT, PictureUnpaid, "0.0015 USD and 0.001 USD are available"),
        (HoldOutcome.KEY_LIMIT, PictureOverKeyLimit, "may still spend 0.001 USD"),
        (HoldOutcome.KEY_INVALID, InvalidApiKey, "revoked or has expired"),
        (HoldOutcome.ACCOUNT_SUSPENDED, AccountSuspended, "suspended"),
        (HoldOutcome.RATE_REQUESTS, KeyRequestsLimited, "60 requests a minute"),
        (HoldOutcome.IN_PROGRESS, IdempotencyInProgress, "still running"),
        (HoldOutcome.OTHER_BODY, IdempotencyMismatch, "another body"),
    ],
)
async def test_what_the_ledger_refuses(outcome: HoldOutcome, error: type[ApiError], words: str) -> None:
    """In the words of pictures; nothing is noted as held."""
    room = PictureRoom()
    room.jobs.answers = [refusal(outcome)]
    with pytest.raises(error) as caught:
        await room.create()
    assert type(caught.value) is error
    assert words in caught.value.message
    assert "shorter prompt" not in caught.value.message
    assert (room.facts.held_nusd, room.jobs.made) == (0, [])


async def test_a_full_queue() -> None:
    """Of the account, and in all; each with the time to wait."""
    room = PictureRoom()
    full = Created(HoldAnswer(HoldOutcome.GRANTED, 0, 0), full=True)
    for answer, error in ((full, QueueFull), (msgspec.structs.replace(full, of_account=True), AccountQueueFull)):
        room.jobs.answers = [answer]
        with pytest.raises(error) as caught:
            await room.create()
        assert type(caught.value) is error
        assert caught.value.retry_after_s == module.FULL_RETRY_S


async def test_what_is_refused_before_the_ledger_is_asked() -> None:
    """The model, the key's models, the size, the cap."""
    room = PictureRoom()
    narrow = Principal(ACCOUNT_ID, KEY_ID, frozenset({"chats"}), None, revoked=False, suspended=False)
    for call, who, error in (
        (replace(CALL, model="x"), principal(), ModelNotFound),
        (replace(CALL, model="chats"), principal(), InvalidValue),
        (replace(CALL, model="nobody"), principal(), NoEngine),
        (CALL, narrow, ModelNotAllowed),
        (replace(CALL, model="some"), principal(), InvalidValue),
        (replace(CALL, max_cost_nusd=PRICE - 1), principal(), PicturesOverCap),
        (replace(CALL, max_cost_nusd=2 * PRICE - 1, count=2), principal(), PicturesOverCap),
    ):
        with pytest.raises(error):
            await room.pictures.create(who, new_call_id(), call)
    assert room.jobs.made == []
    assert (await room.create(max_cost_nusd=2 * PRICE, count=2)).job_id == room.ids[0]


async def test_a_quote_costs_nothing() -> None:
    """All pictures at the model's price."""
    room = PictureRoom()
    quote = room.pictures.quote(principal(), replace(CALL, count=3))
    assert (quote.model, quote.max_cost_nusd, quote.max_completion_tokens) == ("draws", 3 * PRICE, None)
    (line,) = quote.lines
    assert (line.what, line.count, line.cost_nusd) == ("images", 3, 3 * PRICE)
    assert room.jobs.made == []


async def test_seeds_are_of_32_bits() -> None:
    """All of them can be drawn."""
    room = PictureRoom(0, 2**32 - 1)
    assert [room.pictures.new_seed(), room.pictures.new_seed()] == [0, 2**32 - 1]
    assert all(0 <= room.pictures.new_seed() < 2**32 for _ in range(100))


# -- repeated ---------------------------------------------------------------------------------------------------


async def test_a_repeated_call_is_given_the_first_ones_job() -> None:
    """Byte for byte, with the key's minute; also while nobody draws the model any more."""
    room = PictureRoom()
    first = await room.create(repeatable=AGAIN)
    call_id = room.jobs.made[0].call_id
    room.replays.replies[call_id] = first.reply
    room.jobs.answers = [Created(HoldAnswer(HoldOutcome.REPLAY, 0, 0, rates=RATES, earlier=call_id))]
    again = await room.create(repeatable=AGAIN)
    assert (again.job_id, again.reply, again.rates, again.replayed) == (first.job_id, first.reply, RATES, True)
    assert room.facts.replayed
    room.replays.calls[ACCOUNT_ID, AGAIN] = call_id
    assert (await room.create(model="nobody", repeatable=AGAIN)).job_id == first.job_id
    with pytest.raises(NoEngine):
        await room.create(model="nobody", repeatable=Repeatable("other", b""))


async def test_a_reply_that_was_erased_meanwhile() -> None:
    """The caller may come again."""
    room = PictureRoom()
    room.jobs.answers = [Created(HoldAnswer(HoldOutcome.REPLAY, 0, 0, earlier=new_call_id()))]
    with pytest.raises(IdempotencyInProgress):
        await room.create(repeatable=AGAIN)


# -- left, and unsure -------------------------------------------------------------------------------------------


async def test_a_caller_that_leaves_while_its_job_is_made_has_none() -> None:
    """It is made to the end, then cancelled."""
    room = PictureRoom()
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    room.jobs.making = lambda: gate
    task = asyncio.create_task(room.create())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert room.ids == []
    gate.set_result(None)
    await until(lambda: room.jobs.cancelled, "the job is cancelled")
    assert room.jobs.cancelled == room.ids
    assert await room.desk.close(1)


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_job_of_which_nothing_is_known_is_cancelled(monkeypatch: pytest.MonkeyPatch, *, leaves: bool) -> None:
    """The database went away while it was made, and makes it only later: it is looked for until then, whether or not its
    caller is still there."""
    monkeypatch.setattr(module, "UNDO_PAUSE_S", 0.0)
    room = PictureRoom()
    create, late, broken = room.jobs.create, [], asyncio.Event()

    async def unsure(new: NewJob) -> Created:
        late.append(new)
        await broken.wait()
        raise DatabaseUnavailable(retry_after_s=2)

    room.jobs.create = unsure  # type: ignore[method-assign]
    task = asyncio.create_task(room.create())
    await until(lambda: late, "it is being made")
    if leaves:
        task.cancel()
        await until(task.done, "its caller has left")
    broken.set()
    with pytest.raises(asyncio.CancelledError if leaves else DatabaseUnavailable):
        await task
    await until(lambda: len(room.jobs.looked) > 3, "it is looked for")
    await create(late[0])
    assert await room.desk.close(5)
    assert room.jobs.cancelled == room.ids == [late[0].id]


async def test_a_job_that_was_never_made_is_not_looked_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once no server can make it any more, once is enough."""
    monkeypatch.setattr(module, "DOUBT_S", 0.0)
    room = PictureRoom()
    room.jobs.answers = [DatabaseUnavailable(retry_after_s=2)]
    with pytest.raises(DatabaseUnavailable):
        await room.create()
    assert await room.desk.close(1)
    assert (len(room.jobs.looked), room.jobs.cancelled) == (1, [])


async def test_a_job_that_its_caller_was_given_again_is_not_undone() -> None:
    """Whoever repeats a call whose answer was lost keeps what it is told."""
    room = PictureRoom()
    made = await room.create(repeatable=AGAIN)
    (new,) = room.jobs.made
    room.jobs.repeated.add(new.call_id)
    await room.desk.undo(made.job_id, new.call_id)
    assert room.jobs.cancelled == []


async def test_another_ones_job_is_never_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that was taken is another call's."""
    monkeypatch.setattr(module, "UNDO_PAUSE_S", 0.0)
    room = PictureRoom()
    made = await room.create()
    await room.desk.undo(made.job_id, new_call_id())
    assert room.jobs.cancelled == []
    room.jobs.failures = [DatabaseUnavailable(), DatabaseUnavailable()]
    await room.desk.undo(made.job_id, room.jobs.made[0].call_id)
    assert room.jobs.cancelled == [made.job_id]


async def test_undoing_ends_with_the_process() -> None:
    """After the time that it is given; whether all was done is told."""
    room = PictureRoom()
    made = await room.create()
    room.jobs.failures = [DatabaseUnavailable()] * 1000
    room.desk.undo(made.job_id, room.jobs.made[0].call_id)
    assert not await room.desk.close(0.01)
    assert await room.desk.close(0.01)
