"""A call for embeddings is bounded, held, run and settled; each way that it can end costs what it should."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import (
    ApiError,
    CostCapExceeded,
    DatabaseUnavailable,
    IdempotencyInProgress,
    InsufficientCredit,
    InvalidValue,
    KeyTokensLimited,
    ModelNotAllowed,
    ModelNotFound,
    NoEngine,
    TextTooLong,
)
from minitoolai.core.ledger import CallOutcome, HoldAnswer, HoldOutcome, HoldRequest, Rates, Repeatable
from minitoolai.services.metering import new_call_id
from tests.support.fakes import ACCOUNT_ID, principal
from tests.unit.services.embedding_room import REQUEST, TOKENS, EmbeddingRoom, answer

ONE = replace(REQUEST, body={"input": "hi there"}, inputs=("hi there",), listed=False)
AGAIN = replace(ONE, repeatable=Repeatable("k", b"digest"))


async def refused(room: EmbeddingRoom, error: type[ApiError], request: EmbeddingRequest = REQUEST) -> ApiError:
    """Assert that a call fails with nothing held and no engine asked."""
    with pytest.raises(error) as caught:
        await room.embed(request)
    assert type(caught.value) is error
    assert (room.ledger.settlements, room.ledger.held, room.engine.asked) == ([], 0, [])
    return caught.value


async def test_a_call_is_charged_what_its_engine_counts() -> None:
    """Its reply carries the cost; the record names the engine; the call is told to whoever writes it down."""
    room = EmbeddingRoom(answer())
    reply = await room.embed(replace(REQUEST, model="alias"))
    shown = json.loads(reply.body)
    assert [item["embedding"] for item in shown["data"]] == [[1.0, 2.0], [3.0, 4.0]]
    assert shown["usage"] == {"prompt_tokens": TOKENS, "total_tokens": TOKENS, "cost": TOKENS / 10**9}
    assert (reply.cost_nusd, reply.balance_nusd, reply.replayed) == (TOKENS, 10**6 - TOKENS, False)
    await room.ended(TOKENS, CallOutcome.COMPLETED)
    settlement = room.ledger.settlements[0]
    assert (settlement.prompt_tokens, settlement.completion_tokens) == (TOKENS, 0)
    assert (settlement.input_nusd_per_1m, settlement.engine, settlement.counted_by_gateway) == (1_000_000, "fake", False)
    assert (room.facts.asked, room.facts.model, room.facts.engine, room.facts.attempts) == ("alias", "e", "fake", 1)


async def test_an_engine_that_does_not_count_is_counted_for() -> None:
    """By OpenAI's vocabulary; tokens are what they are."""
    room = EmbeddingRoom(answer(tokens=None))
    await room.embed(replace(REQUEST, inputs=("hello world", [5, 6, 7])))
    await room.ended(5, CallOutcome.COMPLETED)
    assert room.ledger.settlements[0].counted_by_gateway


async def test_an_engine_that_counts_too_much_is_not_believed() -> None:
    """The hold is charged; the rest is the operator's."""
    room = EmbeddingRoom(answer([1.0], tokens=900))
    reply = await room.embed(ONE)
    assert reply.cost_nusd == len("hi there")
    assert json.loads(reply.body)["usage"]["cost"] == len("hi there") / 10**9
    await room.ended(len("hi there"), CallOutcome.COMPLETED)


class TestBefore:
    """What happens before the engine is called."""

    @pytest.mark.parametrize(("name", "error"), [("x", ModelNotFound), ("away", NoEngine), ("m", InvalidValue)])
    async def test_a_model_that_cannot_embed(self, name: str, error: type[ApiError]) -> None:
        """Unknown, not served, or one that chats: `param` is model."""
        found = await refused(EmbeddingRoom(), error, replace(REQUEST, model=name))
        assert found.param == "model"

    async def test_what_its_engine_does_not_do(self) -> None:
        """Refused without a hold; so is a quote."""
        room = EmbeddingRoom()
        room.engine.refuses = InvalidValue(param="dimensions", why="no.")
        assert (await refused(room, InvalidValue, REQUEST)).param == "dimensions"
        with pytest.raises(InvalidValue):
            await room.embeddings.quote(principal(), REQUEST)
        assert room.ledger.asked == []

    async def test_a_key_for_other_models(self) -> None:
        """Told by the model's id."""
        room = EmbeddingRoom()
        with pytest.raises(ModelNotAllowed) as caught:
            await room.embed(replace(REQUEST, model="alias"), models=frozenset({"alias"}))
        assert caught.value.facts["model"] == "e"

    async def test_a_short_text_is_held_by_its_bytes(self) -> None:
        """Nobody counts where nothing depends on it."""
        room = EmbeddingRoom(answer([1.0], tokens=2))
        await room.embed(ONE)
        (asked,) = room.ledger.asked
        assert (asked.min_nusd, asked.wanted_nusd, asked.min_tokens, asked.wanted_tokens) == (8, 8, 8, 8)
        assert room.engine.counted == []

    async def test_a_long_text_is_counted(self) -> None:
        """One whose bytes are more than the model reads; tokens need no counting."""
        room = EmbeddingRoom(answer())
        await room.embed()
        assert room.engine.counted == [["hello world", "a"]]
        assert room.ledger.asked[0].wanted_nusd == TOKENS
        room = EmbeddingRoom(answer([1.0]))
        await room.embed(replace(REQUEST, inputs=([1] * 10,)))
        assert (room.engine.counted, room.ledger.asked[0].wanted_nusd) == ([], 10)

    async def test_a_text_that_is_too_long_is_refused_by_its_place(self) -> None:
        """By the exact count, or as tokens; where nothing counts, the bytes are held and the engine judges."""
        long = replace(REQUEST, inputs=("a", "w " * 11))
        found = await refused(EmbeddingRoom(), TextTooLong, long)
        assert (found.param, found.facts["prompt_tokens"], found.facts["context_tokens"]) == ("input[1]", 11, 10)
        found = await refused(EmbeddingRoom(), TextTooLong, replace(REQUEST, inputs=([7] * 11,), listed=False))
        assert found.param == "input"
        room = EmbeddingRoom(answer())
        room.engine.knows = False
        await room.embed(long)
        assert room.ledger.asked[0].wanted_nusd == 1 + 22

    async def test_a_cap_is_measured_at_the_exact_count(self) -> None:
        """And refuses before anything is held."""
        room = EmbeddingRoom(answer([1.0], tokens=2))
        await room.embed(replace(ONE, max_cost_nusd=2))
        assert room.engine.counted == [["hi there"]]
        found = await refused(EmbeddingRoom(), CostCapExceeded, replace(ONE, max_cost_nusd=1))
        assert found.facts == {"param": "x-max-cost", "needed": "0.000000002", "cap": "0.000000001"}

    async def test_a_small_balance_is_measured_at_the_exact_count(self) -> None:
        """It is asked for again once, by the count."""
        room = EmbeddingRoom(answer([1.0], tokens=2), balance=2)
        assert (await room.embed(ONE)).balance_nusd == 0
        room = EmbeddingRoom(balance=1)
        found = await refused(room, InsufficientCredit, ONE)
        assert (found.facts["needed"], len(room.ledger.asked)) == ("0.000000002", 2)
        room = EmbeddingRoom(balance=1)
        await refused(room, InsufficientCredit, replace(ONE, inputs=([1, 2],)))
        assert len(room.ledger.asked) == 1

    async def test_the_database_is_away(self) -> None:
        """No engine is called."""
        room = EmbeddingRoom()
        room.ledger.away = True
        await refused(room, DatabaseUnavailable)

    async def test_a_quote_counts_and_holds_nothing(self) -> None:
        """One line: the tokens; nothing is written."""
        room = EmbeddingRoom()
        quote = await room.embeddings.quote(principal(), ONE)
        (line,) = quote.lines
        assert (quote.model, quote.max_cost_nusd, quote.max_completion_tokens) == ("e", 2, None)
        assert (line.what, line.count, line.nusd_per_1m, line.cost_nusd) == ("input tokens", 2, 1_000_000, 2)
        assert room.ledger.asked == []


class TestAgain:
    """`Idempotency-Key`."""

    async def test_the_reply_is_kept_and_given_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """To the byte, charged once."""
        room = EmbeddingRoom(answer([1.0, 2.0], tokens=2))
        first = await room.embed(AGAIN)
        (settlement,) = room.ledger.settlements
        assert settlement.reply is not None
        room.replays.replies[settlement.hold_id] = settlement.reply
        replay = HoldAnswer(HoldOutcome.REPLAY, 0, 0, earlier=settlement.hold_id)
        monkeypatch.setattr(room.ledger.model, "hold", lambda _: replay)
        second = await room.embed(AGAIN)
        assert (second.body, second.cost_nusd, second.replayed, second.balance_nusd) == (first.body, 2, True, None)
        assert room.facts.replayed
        assert len(room.engine.asked) == len(room.ledger.settlements) == 1

    async def test_while_no_engine_is_left(self) -> None:
        """The reply is there without one; a call that repeats none is refused."""
        room, lost = EmbeddingRoom(), replace(AGAIN, model="away")
        await refused(room, NoEngine, lost)
        assert lost.repeatable is not None
        first = room.replays.calls[ACCOUNT_ID, lost.repeatable] = new_call_id()
        room.replays.replies[first] = b'{"cost_nusd":5,"body":{"data":[]}}'
        again = await room.embed(lost)
        assert (again.body, again.cost_nusd, again.replayed) == (b'{"data":[]}', 5, True)

    async def test_one_that_was_erased_meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The caller repeats."""
        room = EmbeddingRoom(answer([1.0]))
        replay = HoldAnswer(HoldOutcome.REPLAY, 0, 0, earlier=new_call_id())
        monkeypatch.setattr(room.ledger.model, "hold", lambda _: replay)
        with pytest.raises(IdempotencyInProgress):
            await room.embed(AGAIN)

    async def test_a_reply_too_large_to_be_kept_is_refused_beforehand(self) -> None:
        """By the model's dimensions, or those asked for; without the header it runs."""
        many = replace(AGAIN, inputs=("a",) * 1000, dimensions=1001)
        found = await refused(EmbeddingRoom(), InvalidValue, many)
        assert found.param == "idempotency-key"
        assert "999 vectors" in found.message
        body = answer(*[[1.0]] * 1000, tokens=1000)
        for fits in (replace(many, dimensions=1), replace(many, dimensions=1, repeatable=None)):
            await EmbeddingRoom(body).embed(fits)


async def test_tokens_of_the_keys_minute_are_those_of_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key whose minute has too few of them is counted for exactly, then refused."""
    for texts, runs in (("hi there", True), ("a b c d e f", False)):
        room = EmbeddingRoom(answer([1.0], tokens=2))
        hold = room.ledger.model.hold

        def limited(request: HoldRequest, hold: Callable[[HoldRequest], HoldAnswer] = hold) -> HoldAnswer:
            if request.min_tokens > 5:
                return HoldAnswer(HoldOutcome.RATE_TOKENS, 0, 0, rates=Rates(10, 9, 100, 5, 1000))
            return hold(request)

        monkeypatch.setattr(room.ledger.model, "hold", limited)
        if runs:
            await room.embed(replace(ONE, inputs=(texts,)))
            assert [request.wanted_tokens for request in room.ledger.asked] == [8, 2]
        else:
            await refused(room, KeyTokensLimited, replace(ONE, inputs=(texts,)))
