"""`GET /v1/webhook-secret`: one for each account, for all of its keys and nobody else."""

from __future__ import annotations

import pytest

from minitoolai.core.webhooks import shown_secret
from tests.support.clients import Caller
from tests.support.local_gateway import LocalGateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/webhook-secret"


async def test_the_secret(gateway: LocalGateway, caller: Caller) -> None:
    """It is what the account's messages are signed with, by whatever key it is asked for, and no cache keeps it."""
    reply = await caller.get(PATH)
    assert reply.json == {"object": "webhook_secret", "secret": shown_secret(bytes(32), caller.account_id)}
    assert reply.headers["cache-control"] == "no-store"
    sibling = await gateway.books.caller(gateway.base, account=caller.account)
    assert (await sibling.get(PATH)).json == reply.json
    stranger = await gateway.caller()
    assert (await stranger.get(PATH)).json["secret"] != reply.json["secret"]


async def test_without_a_key(caller: Caller) -> None:
    """Nobody is told."""
    reply = await Caller(caller.base, "sk-no", "", 0, 0).get(PATH)
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
