"""Calls for pictures on OpenAI's surface, and what becomes of their jobs."""

from __future__ import annotations

from typing import Any

from tests.support.clients import Caller, Reply
from tests.support.fake_worker import PRICE
from tests.support.local_gateway import LocalGateway

PATH = "/v1/images/generations"
BODY: dict[str, Any] = {"model": "realvision", "prompt": "a red circle"}


async def draw(caller: Caller, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """Call."""
    return await caller.send(PATH, {**BODY, **fields}, headers=headers)


async def jobs(gateway: LocalGateway, caller: Caller) -> list[str]:
    """Return the states of the caller's jobs, in the order in which they were made."""
    rows = await gateway.books.fetch(
        "SELECT state FROM jobs WHERE account_id = $1 ORDER BY tag, created_at", caller.account_id
    )
    return [row["state"] for row in rows]


async def charged(gateway: LocalGateway, caller: Caller, pictures: int) -> None:
    """The caller has paid for so many pictures, and nothing is held."""
    assert await gateway.books.balance(caller) == 5 * 10**9 - pictures * PRICE
    (account,) = await gateway.books.fetch("SELECT held FROM accounts WHERE id = $1", caller.account_id)
    assert account["held"] == 0
    assert await gateway.books.problems() == ()


async def all_wait(gateway: LocalGateway, caller: Caller, count: int) -> bool:
    """Whether so many of the caller's jobs wait."""
    return (await jobs(gateway, caller)).count("queued") == count
