"""A sound is measured, held, written down and paid by its length; what is refused is refused before that."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from minitoolai.core.errors import (
    ApiError,
    DatabaseUnavailable,
    InvalidValue,
    ModelNotAllowed,
    ModelNotFound,
    NoEngine,
    ServiceUnavailable,
)
from minitoolai.core.ledger import CallOutcome, HoldAnswer, HoldOutcome, Repeatable
from minitoolai.core.transcription import ResponseFormat, TranscriptionRequest
from minitoolai.core.transcription_errors import InvalidAudio, SoundOverCap, SoundOverKeyLimit, SoundUnpaid
from minitoolai.services.metering import new_call_id
from tests.support.fakes import ACCOUNT_ID, principal
from tests.unit.services.transcription_room import COST, DONE, HELLO, MS, REPLY, REQUEST, TranscriptionRoom

USAGE = {"type": "duration", "seconds": 90.5, "cost": COST / 10**9}
AGAIN = replace(REQUEST, repeatable=Repeatable("k", b"digest"))


async def refused(room: TranscriptionRoom, error: type[ApiError], request: TranscriptionRequest = REQUEST) -> ApiError:
    """Assert that a call fails with nothing held and no engine asked."""
    with pytest.raises(error) as caught:
        await room.whole(request)
    assert type(caught.value) is error
    assert (room.ledger.settlements, room.ledger.held, room.engine.asked) == ([], 0, [])
    return caught.value


async def test_a_call_is_charged_by_its_length() -> None:
    """Exactly what was held; the reply carries it; the record names the engine, the length and the price."""
    room = TranscriptionRoom(REPLY)
    reply = await room.whole(replace(REQUEST, model="alias"))
    assert json.loads(reply.body) == {"text": "Hello world.", "usage": USAGE}
    assert (reply.cost_nusd, reply.balance_nusd, reply.replayed) == (COST, 10**6 - COST, False)
    await room.ended(COST, CallOutcome.COMPLETED)
    (asked,) = room.ledger.asked
    assert (asked.min_nusd, asked.wanted_nusd, asked.wanted_tokens) == (COST, COST, 0)
    assert room.ledger.settlements[0].engine == "fake"
    assert room.sounds.asked == [b"a sound"]
    assert (room.facts.asked, room.facts.model, room.facts.engine, room.facts.attempts) == ("alias", "w", "fake", 1)


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
async def test_text_is_given_as_it_came(response_format: ResponseFormat) -> None:
    """Its cost stands in the headers."""
    room = TranscriptionRoom("Zażółć\n".encode())
    reply = await room.whole(replace(REQUEST, response_format=response_format))
    assert (reply.body.decode(), reply.cost_nusd) == ("Zażółć\n", COST)
    await room.ended(COST, CallOutcome.COMPLETED)


async def test_a_part_of_a_nano_dollar_is_rounded_once() -> None:
    """Half up; the shortest sound may cost nothing."""
    room = TranscriptionRoom(REPLY)
    room.sounds.found = 84
    assert (await room.whole()).cost_nusd == 1
    room = TranscriptionRoom(REPLY)
    room.sounds.found = 83
    assert (await room.whole()).cost_nusd == 0


async def test_an_engine_that_finds_it_longer_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """To the operator, who is charged by it; the caller pays what was measured."""
    with caplog.at_level(logging.WARNING):
        room = TranscriptionRoom(json.dumps({"text": "", "usage": {"type": "duration", "seconds": 91.4}}).encode())
        await room.whole()
        assert caplog.messages == []
        room = TranscriptionRoom(json.dumps({"text": "", "usage": {"type": "duration", "seconds": 3600}}).encode())
        assert (await room.whole()).cost_nusd == COST
    assert "3600.0 s, not 90.5" in caplog.text


class TestBefore:
    """What happens before the engine is called."""

    @pytest.mark.parametrize(("name", "error"), [("x", ModelNotFound), ("away", NoEngine), ("m", InvalidValue)])
    async def test_a_model_that_cannot(self, name: str, error: type[ApiError]) -> None:
        """Unknown, not served, or one that chats: `param` is model, and no sound is measured."""
        room = TranscriptionRoom()
        found = await refused(room, error, replace(REQUEST, model=name))
        assert found.param == "model"
        assert room.sounds.asked == []

    async def test_a_key_for_other_models(self) -> None:
        """Told by the model's id."""
        with pytest.raises(ModelNotAllowed) as caught:
            await TranscriptionRoom().whole(replace(REQUEST, model="alias"), models=frozenset({"alias"}))
        assert caught.value.facts["model"] == "w"

    async def test_what_its_engine_does_not_do(self) -> None:
        """Refused without measuring."""
        room = TranscriptionRoom()
        room.engine.refuses = InvalidValue(param="language", why="no.")
        assert (await refused(room, InvalidValue)).param == "language"
        assert room.sounds.asked == []

    @pytest.mark.parametrize("error", [InvalidAudio(param="file", why="x."), ServiceUnavailable(retry_after_s=2)])
    async def test_a_sound_that_cannot_be_measured(self, error: ApiError) -> None:
        """Nothing is held."""
        room = TranscriptionRoom()
        room.sounds.found = error
        assert await refused(room, type(error)) is error

    async def test_a_cap(self) -> None:
        """At the cost it is kept; below it the message says how long the sound is."""
        assert (await TranscriptionRoom(REPLY).whole(replace(REQUEST, max_cost_nusd=COST))).cost_nusd == COST
        found = await refused(TranscriptionRoom(), SoundOverCap, replace(REQUEST, max_cost_nusd=COST - 1))
        assert found.message.startswith("This sound of 90.5 s costs 0.000000543 USD, more than the 0.000000542 USD")
        assert found.param == "x-max-cost"

    async def test_a_small_balance_and_a_keys_limit(self) -> None:
        """Both in words of sounds."""
        found = await refused(TranscriptionRoom(balance=COST - 1), SoundUnpaid)
        assert found.message.startswith("This sound of 90.5 s costs 0.000000543 USD and 0.000000542 USD are available")
        found = await refused(TranscriptionRoom(limit=5), SoundOverKeyLimit)
        assert "0.000000543 USD and this key may still spend 0.000000005 USD" in found.message

    async def test_the_database_is_away(self) -> None:
        """No engine is called."""
        room = TranscriptionRoom()
        room.ledger.away = True
        await refused(room, DatabaseUnavailable)

    async def test_a_quote(self) -> None:
        """By the length that the caller says; nothing is measured or held."""
        room = TranscriptionRoom()
        quote = room.transcriptions.quote(principal(), "alias", MS, room.facts)
        (line,) = quote.lines
        assert (quote.model, quote.max_cost_nusd, quote.max_completion_tokens) == ("w", COST, None)
        assert (line.count, line.nusd_per_1m, line.nusd_per_minute, line.cost_nusd) == (MS, None, 360, COST)
        assert (room.ledger.asked, room.sounds.asked) == ([], [])
        with pytest.raises(NoEngine):
            room.transcriptions.quote(principal(), "away", MS)


class TestAgain:
    """`Idempotency-Key`."""

    @staticmethod
    async def answered(room: TranscriptionRoom, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keep the reply of the room's one call, and have the ledger say so."""
        (settlement,) = room.ledger.settlements
        assert settlement.reply is not None
        room.replays.replies[settlement.hold_id] = settlement.reply
        replay = HoldAnswer(HoldOutcome.REPLAY, 0, 0, earlier=settlement.hold_id)
        monkeypatch.setattr(room.ledger.model, "hold", lambda _: replay)

    async def test_a_whole_reply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """To the byte, charged once."""
        kinds: list[tuple[bytes, ResponseFormat]] = [(REPLY, "json"), (b"1\n00:00\n", "srt")]
        for raw, response_format in kinds:
            room, request = TranscriptionRoom(raw), replace(AGAIN, response_format=response_format)
            first = await room.whole(request)
            await self.answered(room, monkeypatch)
            second = await room.whole(request)
            assert (second.body, second.cost_nusd, second.replayed, second.balance_nusd) == (first.body, COST, True, None)
            assert room.facts.replayed
            assert len(room.engine.asked) == len(room.ledger.settlements) == 1

    async def test_a_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As one delta and the end."""
        room = TranscriptionRoom(HELLO + DONE)
        await room.stream(AGAIN)
        await self.answered(room, monkeypatch)
        room.sink.written.clear()
        frames = [json.loads(frame[6:]) for frame in (await room.stream(AGAIN)).split("\n\n")[:-1]]
        assert frames == [
            {"type": "transcript.text.delta", "delta": "Hello world."},
            {"type": "transcript.text.done", "text": "Hello world.", "usage": USAGE},
        ]
        assert room.sink.replayed

    async def test_while_no_engine_is_left(self) -> None:
        """The reply is there without one; a call that repeats none is refused."""
        room, lost = TranscriptionRoom(), replace(AGAIN, model="away")
        await refused(room, NoEngine, lost)
        assert lost.repeatable is not None
        first = room.replays.calls[ACCOUNT_ID, lost.repeatable] = new_call_id()
        room.replays.replies[first] = b'{"cost_nusd":5,"body":"e30="}'
        reply = await room.whole(lost)
        assert (reply.body, reply.cost_nusd, reply.replayed) == (b"{}", 5, True)

    async def test_nothing_is_kept_without_a_key(self) -> None:
        """A transcript is its caller's business."""
        room = TranscriptionRoom(REPLY)
        await room.whole()
        assert room.ledger.settlements[0].reply is None
