"""Calls for pictures on the seed's surface, and what becomes of their jobs."""

from __future__ import annotations

from typing import Any

from tests.support.clients import Caller, Reply
from tests.support.fake_worker import PRICE
from tests.support.local_gateway import LocalGateway

CREATE, JOBS, CANCEL = "/api/texttoimage/", "/api/texttoimage/jobs/", "/api/texttoimage/jobs/cancel/"
#: The body of the seed's samples.
BODY: dict[str, Any] = {
    "model": "realvision",
    "prompt": "Ultra realistic portrait of a 20 year old woman, wearing an elegant black gown",
    "negativePrompt": "unrealistic eyes, malformed features, ugly drawn",
    "scheduler": "DPM++ SDE",
    "steps": 4,
    "cfgScale": 2.0,
    "width": 1152,
    "height": 768,
}
NOT_FOUND = {"status": "error", "image_url": None, "message": "job not found"}


def stranger(caller: Caller) -> Caller:
    """The same server without a key that is one."""
    return Caller(caller.base, "nonsense", "", 0, 0)


async def make(caller: Caller, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """Make a job; return the reply."""
    reply = await caller.send(CREATE, {**BODY, **fields}, headers=headers)
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.json
    return found


async def ask(caller: Caller, made: dict[str, Any], **fields: Any) -> Reply:
    """Ask about a job, without a key."""
    return await stranger(caller).send(JOBS, {"jobid": made["jobid"], "signature": made["signature"], **fields})


async def drawn(caller: Caller, made: dict[str, Any]) -> dict[str, Any]:
    """Wait for a job's picture; return the reply."""
    reply = await ask(caller, made, wait=20)
    assert reply.status == 200
    assert reply.json["status"] == "success", reply.text
    found: dict[str, Any] = reply.json
    return found


async def charged(gateway: LocalGateway, caller: Caller, pictures: int) -> None:
    """The caller has paid for so many pictures, and nothing is held."""
    assert await gateway.books.balance(caller) == 5 * 10**9 - pictures * PRICE
    (held,) = await gateway.books.fetch("SELECT held FROM accounts WHERE id = $1", caller.account_id)
    assert held["held"] == 0
    assert await gateway.books.problems() == ()
