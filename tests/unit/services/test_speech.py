"""The use case of speech: what is refused before anything is held, what is held, and a sound that is given again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from minitoolai.core.errors import (
    ApiError,
    IdempotencyInProgress,
    InvalidValue,
    ModelNotAllowed,
    ModelNotFound,
    NoEngine,
    UpstreamError,
)
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome, Repeatable
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.core.quotes import QuoteLine
from minitoolai.core.speech_errors import SoundGone, SpeechOverCap, SpeechOverKeyLimit, SpeechUnpaid
from minitoolai.services import kept_speech
from minitoolai.services.kept_speech import Respoken, forget_sounds
from tests.support.fakes import ACCOUNT_ID, FakeLedger, principal
from tests.support.loop_time import FakeLoopTime
from tests.unit.services.speech_room import ASKED, COST, MODEL, FakeSounds, SpeechRoom

AGAIN = Repeatable("k", b"digest")
REPEATED = replace(ASKED, repeatable=AGAIN)
AWAY = StorageUnavailable(retry_after_s=5)


async def refused(room: SpeechRoom, error: type[ApiError], **changes: Any) -> ApiError:
    """Assert that a call fails before anything was held."""
    with pytest.raises(error) as caught:
        await room.speak(replace(ASKED, **changes))
    assert type(caught.value) is error
    assert (room.ledger.settlements, room.ledger.held, room.engine.asked, len(room.calls)) == ([], 0, [], 0)
    return caught.value


async def test_what_cannot_be_is_refused() -> None:
    """Models that are not there, not of this kind, not served, not the key's; what the engine is known not to do."""
    room = SpeechRoom()
    await refused(room, ModelNotFound, model="nothing")
    assert "/v1/chat/completions" in (await refused(room, InvalidValue, model="m")).message
    await refused(room, NoEngine, model="away")
    with pytest.raises(ModelNotAllowed):
        await room.speak(models=frozenset({"m"}))
    room.engine.refuses = InvalidValue(param="pitch", why="it has one.")
    assert (await refused(room, InvalidValue)).param == "pitch"


async def test_a_cap_a_small_balance_and_a_keys_limit() -> None:
    """Exactly enough is enough; the words name both amounts and a shorter text."""
    room = SpeechRoom(b"a")
    told = await refused(room, SpeechOverCap, max_cost_nusd=COST - 1)
    assert told.message.startswith(
        "This speech costs 0.000000012 USD, more than the 0.000000011 USD that x-max-cost allows."
    )
    await room.speak(replace(ASKED, max_cost_nusd=COST))
    await room.ended(COST, CallOutcome.COMPLETED)
    assert (room.ledger.asked[0].min_nusd, room.ledger.asked[0].wanted_nusd) == (COST, COST)
    told = await refused(SpeechRoom(b"a", balance=COST - 1), SpeechUnpaid)
    assert told.message.startswith("This speech costs 0.000000012 USD and 0.000000011 USD are available on the account.")
    limited = SpeechRoom(b"a")
    limited.ledger.model = FakeLedger(limit_nusd=5).model
    assert "this key may still spend 0.000000005 USD" in (await refused(limited, SpeechOverKeyLimit)).message
    await SpeechRoom(b"a", balance=COST).speak()


async def test_a_quote_is_exact() -> None:
    """One line; nothing runs, nothing is held."""
    room = SpeechRoom()
    quote = room.speech.quote(principal(), ASKED, room.facts)
    assert (quote.model, quote.max_cost_nusd, quote.max_completion_tokens) == ("s", COST, None)
    assert quote.lines == (QuoteLine("characters", COST, MODEL.character_nusd_per_1m, COST),)
    assert room.ledger.asked == []
    with pytest.raises(ModelNotFound):
        room.speech.quote(principal(), replace(ASKED, model="nothing"))


async def test_what_a_long_text_is_asked_about() -> None:
    """What is never spoken is refused; that its engine is not there at present is not, since a job waits."""
    room = SpeechRoom()
    await room.speech.check(principal(), replace(ASKED, model="away"))
    await room.speech.check(principal(), ASKED)
    with pytest.raises(ModelNotFound):
        await room.speech.check(principal(), replace(ASKED, model="nothing"))
    room.engine.disproves = InvalidValue(param="voice", why="there is none.")
    with pytest.raises(InvalidValue, match="voice"):
        await room.speech.check(principal(), ASKED)
    room.engine.refuses = InvalidValue(param="pitch", why="it has one.")
    with pytest.raises(InvalidValue, match="pitch"):
        await room.speech.check(principal(), ASKED)


def repeat(room: SpeechRoom) -> None:
    """Let the ledger know of the call that was settled."""
    (settlement,) = room.ledger.settlements
    assert settlement.reply is not None
    room.replays.replies[settlement.hold_id] = settlement.reply
    room.replays.calls[(ACCOUNT_ID, AGAIN)] = settlement.hold_id


async def test_a_sound_is_kept_and_given_again() -> None:
    """As it was, with what it cost; also while no engine is there."""
    room = SpeechRoom(b"a", b"b")
    await room.speak(REPEATED)
    await room.ended(COST, CallOutcome.COMPLETED)
    repeat(room)
    again = await room.speak(replace(REPEATED, model="away"))
    assert again == Respoken(b"ab", COST, COST, None)
    assert room.facts.replayed
    room.sounds.failure = AWAY
    with pytest.raises(StorageUnavailable):
        await room.speak(replace(REPEATED, model="away"))
    room.sounds.failure = None
    room.sounds.sounds.clear()
    with pytest.raises(SoundGone):
        await room.speak(replace(REPEATED, model="away"))
    room.replays.replies.clear()
    with pytest.raises(IdempotencyInProgress):
        await room.speak(replace(REPEATED, model="away"))
    assert len(room.engine.asked) == 1


async def test_only_what_is_complete_is_kept() -> None:
    """A sound that broke off, or whose caller left: its key is free again."""
    room = SpeechRoom(b"a", UpstreamError(model="s"))
    with pytest.raises(UpstreamError):
        await room.speak(REPEATED)
    assert (room.sounds.sounds, room.ledger.settlements[0].reply) == ({}, None)
    room = SpeechRoom()
    room.engine.steps = (b"a", room.hang)
    await room.stopped(CallerLeft(), REPEATED)
    assert (room.sounds.sounds, room.ledger.settlements[0].reply) == ({}, None)


def _away(room: SpeechRoom, _: pytest.MonkeyPatch) -> None:
    room.sounds.failure = AWAY


def _slow(room: SpeechRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    room.sounds.go = asyncio.Event()
    monkeypatch.setattr(kept_speech, "KEEP_S", 0.01)


def _large(_: SpeechRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minitoolai.services.speech_call.MAX_KEPT_BYTES", 1)


@pytest.mark.parametrize("how", [_away, _slow, _large])
async def test_a_sound_that_cannot_be_kept_is_spoken_all_the_same(
    monkeypatch: pytest.MonkeyPatch, how: Callable[[SpeechRoom, pytest.MonkeyPatch], None]
) -> None:
    """The store is away or slow, or the sound is too large: it is paid, and its key is free again."""
    room = SpeechRoom(b"a", b"b")
    how(room, monkeypatch)
    await room.speak(REPEATED)
    assert (room.sink.sound, room.sink.finished) == (b"ab", (COST, COST))
    await room.ended(COST, CallOutcome.COMPLETED)
    assert room.ledger.settlements[0].reply is None


@pytest.mark.parametrize("reason", [CallerLeft(), None])
async def test_a_caller_that_leaves_while_its_whole_sound_is_kept(reason: CallerLeft | None) -> None:
    """Its connection broke at the very end: the sound is there for when it repeats the call."""
    room = SpeechRoom(b"a", b"b")
    room.sounds.go = asyncio.Event()
    task = asyncio.create_task(room.speak(REPEATED))
    await room.sounds.keeping.wait()
    if reason is None:
        task.cancel()
    else:
        room.calls.interrupt_all(lambda: reason)
    await asyncio.sleep(0)
    task.cancel()  # its server stops as well
    await asyncio.sleep(0)
    room.sounds.go.set()
    with pytest.raises(CallerLeft):
        await task
    await room.ended(COST, CallOutcome.COMPLETED)
    repeat(room)


async def test_kept_sounds_are_forgotten(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Those of days before yesterday, every hour, whatever fails."""
    monkeypatch.setattr(kept_speech, "asyncio", FakeLoopTime(3))
    sounds = FakeSounds()
    failures = iter([AWAY, RuntimeError("a bug"), None])

    async def forget(day: date) -> None:
        sounds.forgotten.append(day)
        if (failure := next(failures, None)) is not None:
            raise failure

    monkeypatch.setattr(sounds, "forget", forget)
    with pytest.raises(asyncio.CancelledError):
        await forget_sounds(sounds, lambda: date(2026, 3, 1))
    assert sounds.forgotten == [date(2026, 2, 28)] * 4
    assert "cannot be deleted at present" in caplog.text
    assert "forgetting sounds failed" in caplog.text
