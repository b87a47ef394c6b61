"""A prompt is counted for those who ask, and nothing else happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minitoolai.core.errors import ModelNotAllowed, NoEngine
from tests.support.fakes import principal
from tests.unit.services.room import PROMPT, WHOLE, Room


async def test_a_prompt_is_counted() -> None:
    """By the engine, without a hold and without a call."""
    room = Room()
    assert await room.chat.count(principal(), WHOLE) == PROMPT
    assert (room.engine.counts, room.engine.limits, room.ledger.asked) == (1, [], [])


async def test_more_than_the_model_reads() -> None:
    """Is counted all the same: callers count to learn how much is too much."""
    room = Room()
    room.engine.prompt_tokens = 1001
    assert await room.chat.count(principal(), WHOLE) == 1001


async def test_a_model_that_cannot_be_asked() -> None:
    """Is refused as a call would be."""
    room = Room()
    with pytest.raises(ModelNotAllowed):
        await room.chat.count(principal(models=frozenset({"other"})), WHOLE)
    with pytest.raises(NoEngine):
        await room.chat.count(principal(), replace(WHOLE, model="other"))
