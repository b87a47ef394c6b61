"""Speech goes to its caller as it comes, and costs the sentences that were spoken, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from minitoolai.core.errors import (
    ApiError,
    Draining,
    EngineRefusedRequest,
    InvalidValue,
    NoEngine,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.speech import SpeechRequest
from minitoolai.services.asked_speech import AskedSpeech
from tests.support.speaking import FakeSpeaker, Spoken
from tests.unit.services.speech_room import COST, TEXT, SpeechRoom

#: What an engine sends that works: two sentences.
GOOD = (b"a", b"b", Spoken(7), b"c", Spoken(COST))
BROKEN = UpstreamError(model="s")


@pytest.mark.parametrize("says", [True, False])
async def test_a_sound_is_relayed_and_charged(*, says: bool) -> None:
    """Part by part as it comes; all characters, whether or not the engine says how far it is."""
    room = SpeechRoom(*(GOOD if says else (b"a", b"b", b"c")), says=says)
    assert await room.speak() is None
    assert room.sink.written == [b"a", b"b", b"c"]
    assert room.sink.finished == (COST, COST)
    await room.ended(COST, CallOutcome.COMPLETED)
    (settlement,) = room.ledger.settlements
    assert (settlement.engine, settlement.reply) == ("fake", None)
    assert settlement.first_content_ms is not None
    assert (room.facts.stream, room.facts.attempts, room.facts.engine) == (True, 1, "fake")
    assert room.engine.replies[0].closed == 1


async def test_it_is_charged_before_the_caller_knows_its_end() -> None:
    """Whoever has a complete sound has paid for it."""
    room = SpeechRoom(*GOOD)
    room.ledger.paused = True
    task = asyncio.create_task(room.speak())
    while not room.ledger.asked:
        await asyncio.sleep(0)
    room.ledger.paused = False
    while not room.sink.written:
        await asyncio.sleep(0)
    room.ledger.paused = True
    while not room.ledger.settlements:
        await asyncio.sleep(0)
    assert room.sink.finished is None
    room.ledger.paused = False
    await task
    assert room.sink.finished == (COST, COST)


@pytest.mark.parametrize(
    "failure",
    [
        BROKEN, UpstreamTimeout(model="s"), EngineRefusedRequest(model="s", where=""), RateLimited(model="s"),
        InvalidValue(param="voice", why="there is none."), NoEngine(param="model", model="s"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_an_engine_that_fails_before_its_sound_costs_nothing(failure: ApiError) -> None:
    """At its first word or before it; the caller is told as it said."""
    for steps, before in (((), failure), ((failure,), b"")):
        room = SpeechRoom(*steps)
        room.engine.before_sound = before
        with pytest.raises(type(failure)):
            await room.speak()
        await room.ended(0, CallOutcome.FAILED)
        assert not room.sink.started


async def test_silence_is_no_sound() -> None:
    """An engine that ends without a byte has failed, also where it says that it spoke."""
    room = SpeechRoom(Spoken(COST))
    with pytest.raises(UpstreamError):
        await room.speak()
    await room.ended(0, CallOutcome.FAILED)


async def test_the_next_engine_stands_in() -> None:
    """As long as the caller has nothing: one hold, one charge, nothing of what the first said."""
    second = FakeSpeaker(*GOOD, name="second")
    room = SpeechRoom(Spoken(3), BROKEN, others=[second])
    await room.speak()
    assert room.sink.sound == b"abc"
    await room.ended(COST, CallOutcome.COMPLETED)
    assert (room.ledger.settlements[0].engine, len(room.ledger.asked)) == ("second", 1)
    assert (room.facts.attempts, [name for name, _ in room.facts.failures]) == (2, ["fake"])


async def test_a_refusal_is_the_same_everywhere() -> None:
    """No other engine is asked."""
    second = FakeSpeaker(*GOOD, name="second")
    room = SpeechRoom(others=[second])
    room.engine.before_sound = InvalidValue(param="voice", why="there is none.")
    with pytest.raises(InvalidValue):
        await room.speak()
    assert second.asked == []


@pytest.mark.parametrize("events", [True, False])
@pytest.mark.parametrize(("says", "cost"), [(True, 7), (False, 0)])
async def test_an_engine_that_breaks_off(*, events: bool, says: bool, cost: int) -> None:
    """Whole sentences are charged, nothing where it does not say; nobody stands in; the caller is told, or cut off."""
    second = FakeSpeaker(*GOOD, name="second")
    steps = (b"a", Spoken(7), b"b", BROKEN) if says else (b"a", b"b", BROKEN)
    room = SpeechRoom(*steps, says=says, others=[second], events=events)
    if events:
        await room.speak()
        assert room.sink.failure is BROKEN
        assert room.facts.error == "upstream_error"
    else:
        with pytest.raises(UpstreamError):
            await room.speak()
    assert (room.sink.sound, room.sink.finished, second.asked) == (b"ab", None, [])
    await room.ended(cost, CallOutcome.CUT)


@pytest.mark.parametrize("reason", [Draining(retry_after_s=2), UpstreamTimeout(model="s")])
@pytest.mark.parametrize("events", [True, False])
async def test_a_drain_and_a_deadline(reason: ApiError, *, events: bool) -> None:
    """What was spoken until then; nothing where nothing was."""
    for steps, cost, outcome in (
        ((b"a", Spoken(7), b"b"), 7, CallOutcome.CUT),
        ((), 0, CallOutcome.FAILED),
    ):
        room = SpeechRoom(*steps, events=events and bool(steps))
        room.engine.steps = (*steps, room.hang)
        assert await room.stopped(reason) is reason
        await room.ended(cost, outcome)
        assert room.engine.replies[0].closed >= 1


@pytest.mark.parametrize(("slow", "cost", "outcome"), [(True, COST, CallOutcome.ABANDONED), (False, 0, CallOutcome.CUT)])
async def test_a_deadline_that_the_caller_is_late_for(*, slow: bool, cost: int, outcome: CallOutcome) -> None:
    """Of an engine that does not say how far it is: whoever let it wait for most of the time pays as for leaving."""
    room = SpeechRoom(says=False)
    room.engine.total_s = 0.04

    async def late() -> bytes:
        await asyncio.sleep(0.05)
        return b"b"

    room.engine.steps = (b"a", room.hang) if slow else (b"a", late, room.hang)
    room.sink.before_write = lambda _: asyncio.ensure_future(asyncio.sleep(0.05)) if slow else None
    error = UpstreamTimeout(model="s")
    assert await room.stopped(error) is error
    await room.ended(cost, outcome)


@pytest.mark.parametrize("leave", [CallerLeft, lambda: None])
async def test_a_caller_that_leaves_before_any_sound(leave: Callable[[], CallerLeft | None]) -> None:
    """While the engine is asked, or thinks: nothing."""
    room = SpeechRoom()
    room.engine.before_sound = room.hang
    assert isinstance(await room.stopped(leave()), CallerLeft)
    await room.ended(0, CallOutcome.ABANDONED)
    room = SpeechRoom()
    room.engine.steps = (room.hang,)
    assert isinstance(await room.stopped(leave()), CallerLeft)
    await room.ended(0, CallOutcome.ABANDONED)


@pytest.mark.parametrize("leave", [CallerLeft, lambda: None])
@pytest.mark.parametrize(("says", "cost"), [(True, 7), (False, COST)])
async def test_a_caller_that_leaves_midway(leave: Callable[[], CallerLeft | None], *, says: bool, cost: int) -> None:
    """The sentences fully spoken; all of the text where the engine does not say, since it is paid for all of it."""
    room = SpeechRoom(says=says)
    room.engine.steps = (b"a", Spoken(7), b"b", room.hang) if says else (b"a", room.hang)
    assert isinstance(await room.stopped(leave()), CallerLeft)
    await room.ended(cost, CallOutcome.ABANDONED)
    assert room.engine.replies[0].closed == 1


async def test_a_caller_that_leaves_while_it_is_written_to() -> None:
    """As anywhere."""
    room = SpeechRoom(b"a", Spoken(7), b"b")

    def block(sound: bytes) -> asyncio.Future[None] | None:
        if sound == b"b":
            room.there.set()
            return asyncio.get_running_loop().create_future()
        return None

    room.sink.before_write = block
    assert isinstance(await room.stopped(CallerLeft()), CallerLeft)
    await room.ended(7, CallOutcome.ABANDONED)


async def test_what_a_call_would_cost_now() -> None:
    """Told with each renewal of the lease, for whoever closes the books of a process that died."""
    for says, cost in ((True, 7), (False, 0)):
        room = SpeechRoom(says=says)
        room.engine.steps = (b"a", *([Spoken(7)] if says else []), b"b", room.hang)
        task = asyncio.create_task(room.speak())
        await room.there.wait()
        assert list(room.calls.produced().values()) == [cost]
        task.cancel()
        with pytest.raises(CallerLeft):
            await task


async def test_of_marked_up_text_the_characters_that_were_sent_are_paid() -> None:
    """In proportion to what is spoken of the text as it was written out; all of them for all."""
    asked = AskedSpeech("s", SpeechRequest(TEXT, ssml=True), 100)
    room = SpeechRoom(b"a", Spoken(6), b"b", BROKEN)
    with pytest.raises(UpstreamError):
        await room.speak(asked)
    await room.ended(50, CallOutcome.CUT)
    room = SpeechRoom(b"a", Spoken(12))
    await room.speak(asked)
    await room.ended(100, CallOutcome.COMPLETED)


async def test_an_engine_that_says_more_than_there_is_is_not_believed() -> None:
    """The text is the most that is paid."""
    room = SpeechRoom(b"a", Spoken(1000), b"b", BROKEN)
    with pytest.raises(UpstreamError):
        await room.speak()
    await room.ended(COST, CallOutcome.CUT)


async def test_fields_that_change_nothing_are_named() -> None:
    """Those that the caller gave and the engine that speaks does not take."""
    request = SpeechRequest(TEXT, instructions="calmly")
    second = FakeSpeaker(*GOOD, name="second", ignores=["instructions", "language"])
    room = SpeechRoom(BROKEN, others=[second], ignores=["language"])
    await room.speak(AskedSpeech("s", request, COST))
    assert room.sink.ignored == frozenset({"instructions"})
    room = SpeechRoom(*GOOD, ignores=["language"])
    await room.speak(AskedSpeech("s", request, COST))
    assert room.sink.ignored == frozenset()


async def test_a_database_that_is_away_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets the end of its sound all the same, and is charged once it is back."""
    monkeypatch.setattr("minitoolai.services.metering.SETTLE_WAIT_S", 0.01)
    room = SpeechRoom(*GOOD)
    room.sink.before_write = lambda _: setattr(room.ledger, "paused", True)
    await room.speak()
    assert room.sink.finished == (COST, COST)
    await room.ended(COST, CallOutcome.COMPLETED)
