"""What is checked and held before an engine is called."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial

import pytest

from minitoolai.core.errors import (
    ContextLengthExceeded,
    CostCapExceeded,
    DatabaseUnavailable,
    InsufficientCredit,
    InvalidValue,
    MiniToolError,
    ModelNotAllowed,
    ModelNotFound,
    NoEngine,
)
from minitoolai.core.inference import ChatRequest
from minitoolai.core.ledger import Repeatable
from minitoolai.core.records import CallFacts
from minitoolai.services.metering import new_call_id
from tests.support.fakes import ACCOUNT_ID, principal
from tests.unit.services.room import (
    PROMPT,
    REPLY,
    REPLY_WITH_USAGE,
    USAGE,
    WHOLE,
    Room,
    said,
)


class TestBefore:
    """What happens before the engine is called."""

    @pytest.mark.parametrize(
        ("request_", "error"),
        [(replace(WHOLE, model="gpt-9"), ModelNotFound), (replace(WHOLE, model="other"), NoEngine)],
    )
    async def test_a_model_that_cannot_answer(self, request_: ChatRequest, error: type[MiniToolError]) -> None:
        """Refused without a hold."""
        room = Room()
        await room.refused(error, lambda: room.whole(request_))
        assert room.ledger.asked == []

    async def test_a_key_for_other_models(self) -> None:
        """Asked for by an alias, told by its id."""
        room = Room()
        caller = principal(models=frozenset({"alias"}))
        alias = replace(WHOLE, model="alias")
        error = await room.refused(ModelNotAllowed, lambda: room.chat.whole(caller, new_call_id(), alias))
        assert error.facts["model"] == "m"

    async def test_what_its_engine_does_not_do(self) -> None:
        """Refused without a hold; so is a quote, and a count."""
        room = Room()
        room.engine.refuses = InvalidValue(param="functions", why="no.")
        for ask in (
            room.whole,
            room.stream,
            *(partial(ask, principal(), WHOLE) for ask in (room.chat.quote, room.chat.count)),
        ):
            await room.refused(InvalidValue, ask)
        assert room.ledger.asked == []

    async def test_a_repeated_call_while_no_engine_is_left(self) -> None:
        """The reply is there without one; a call that repeats none is refused."""
        room = Room()
        lost = replace(WHOLE, model="other", repeatable=Repeatable("k", b"d"))
        await room.refused(NoEngine, lambda: room.whole(lost))
        first = room.replays.calls[ACCOUNT_ID, Repeatable("k", b"d")] = new_call_id()
        room.replays.replies[first] = json.dumps({"cost_nusd": 5, "body": {**json.loads(REPLY), "usage": USAGE}}).encode()
        again = await room.whole(lost)
        assert (again.cost_nusd, again.replayed, again.rates) == (5, True, None)
        await room.stream(replace(lost, stream=True))
        assert said(room) == "hello world"
        assert room.sink.replayed
        await room.refused(NoEngine, lambda: room.whole(replace(lost, repeatable=Repeatable("k", b"other"))))
        assert room.ledger.asked == []

    async def test_a_quote_and_a_count_say_what_they_were_for(self) -> None:
        """For logs and metrics: the name asked for, and the model's own."""
        for ask in (Room().chat.quote, Room().chat.count):
            facts = CallFacts()
            await ask(principal(), replace(WHOLE, model="alias"), facts)
            assert (facts.asked, facts.model) == ("alias", "m")

    async def test_the_database_is_away(self) -> None:
        """No engine is called."""
        room = Room()
        room.ledger.away = True
        await room.refused(DatabaseUnavailable, room.whole)

    async def test_a_caller_that_leaves_while_its_hold_is_made(self) -> None:
        """No engine is called, nothing is held."""
        room = Room(REPLY)
        room.ledger.paused = True
        task = asyncio.create_task(room.whole())
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        room.ledger.paused = False
        await asyncio.sleep(0.005)
        assert (room.ledger.held, room.engine.limits) == (0, [])

    async def test_an_explicit_limit_is_never_lowered(self) -> None:
        """402 with the exact amounts when it cannot be paid, and told to the engine as it is when it can."""
        cost = PROMPT + 2 * 100
        room = Room(balance=cost - 1)
        error = await room.refused(InsufficientCredit, room.whole)
        assert error.facts["needed"] == "0.000000209"
        assert room.engine.counts == 1
        room = Room(REPLY, balance=cost)
        await room.whole()
        assert room.engine.limits == [100]

    async def test_a_small_balance_shortens_an_answer_that_has_no_limit(self) -> None:
        """By the exact count of the prompt, so that nothing is cut off for a coarse bound."""
        open_ = replace(WHOLE, max_completion_tokens=None)
        for balance in (PROMPT + 2 * 16, PROMPT + 2 * 50, PROMPT + 2 * 50 + 1, 300, 600):
            room = Room(REPLY_WITH_USAGE, balance=balance)
            await room.whole(open_)
            assert room.engine.limits == [min((balance - PROMPT) // 2, 400)]
        room = Room(balance=PROMPT + 2 * 16 - 1)
        await room.refused(InsufficientCredit, lambda: room.whole(open_))
        room = Room(REPLY)
        await room.whole(open_)
        assert (room.engine.limits, room.engine.counts) == ([400], 0)

    async def test_choices_share_what_is_there(self) -> None:
        """Each is told its part."""
        room = Room(REPLY_WITH_USAGE, balance=PROMPT + 2 * 4 * 50)
        await room.whole(replace(WHOLE, max_completion_tokens=None, choices=4))
        assert room.engine.limits == [50]

    async def test_a_coarse_bound_is_counted_when_it_matters(self) -> None:
        """A prompt that may be too long for the model; a hold that would take a large share of what is left."""
        room = Room(REPLY)
        await room.whole(replace(WHOLE, body_bytes=2000))
        assert room.engine.counts == 1
        room = Room(REPLY)
        room.engine.prompt_tokens = 1001
        await room.refused(ContextLengthExceeded, lambda: room.whole(replace(WHOLE, body_bytes=2000)))
        room = Room(REPLY, balance=1000)
        for counts in (0, 1):
            room.engine.reply._steps = [REPLY]
            await room.whole()
            assert room.engine.counts == counts

    async def test_a_cap_is_checked_before_the_hold(self) -> None:
        """`x-max-cost`."""
        room = Room()
        await room.refused(CostCapExceeded, lambda: room.whole(replace(WHOLE, max_cost_nusd=5)))
        assert room.ledger.asked == []

    async def test_what_accounts_had_left_is_forgotten_in_the_end(self) -> None:
        """Memory is bounded."""
        room = Room(REPLY)
        room.chat._last_available = dict.fromkeys(range(100_001), 5)
        await room.whole()
        assert list(room.chat._last_available) == [ACCOUNT_ID]

    async def test_a_refusal_of_an_exact_bound_is_final(self) -> None:
        """It is not counted and asked for once more."""
        room = Room(balance=50)
        await room.refused(InsufficientCredit, lambda: room.whole(replace(WHOLE, body_bytes=2000)))
        assert (room.engine.counts, len(room.ledger.asked)) == (1, 1)
