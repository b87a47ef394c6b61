"""A fact is written once."""

from __future__ import annotations

import asyncio

from minitoolai.storage.facts import PgFacts
from tests.storage.desk import Desk


async def test_the_first_value_stands(desk: Desk) -> None:
    """Whoever claims it, and however many at once."""
    facts = PgFacts(desk.database)
    answers = await asyncio.gather(*[facts.claim("secret", str(number)) for number in range(10)])
    assert len(set(answers)) == 1
    assert await facts.claim("secret", "another") == answers[0]
    assert await facts.claim("other", "x") == "x"


async def test_whether_there_are_accounts(desk: Desk) -> None:
    """The first start asks."""
    facts = PgFacts(desk.database)
    assert not await facts.has_accounts()
    await desk.account(0)
    assert await facts.has_accounts()
