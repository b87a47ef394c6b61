"""Anthropic's API called by hand: a body, the events of a stream, the shape of an error."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.clients import QUESTION, Caller, Reply
from tests.support.local_gateway import LocalGateway

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
#: What a caller has at first, in nano-dollars.
FULL_NUSD = 5 * 10**9
#: What Anthropic's clients send with every call.
VERSION = {"anthropic-version": "2023-06-01"}


async def send(caller: Caller, path: str = MESSAGES, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """Call with a body; a field that is None is left out."""
    body = {name: value for name, value in {**ASKED, **fields}.items() if value is not None}
    return await caller.send(path, body, headers={**VERSION, **(headers or {})})


def events(reply: Reply) -> list[dict[str, Any]]:
    """The events of a stream, each under its own name."""
    found = []
    for frame in reply.text.removesuffix("\n\n").split("\n\n"):
        name, _, data = frame.partition("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def written(reply: Reply) -> str:
    """The text of a stream."""
    return "".join(event["delta"]["text"] for event in events(reply) if event["type"] == "content_block_delta")


async def spent(gateway: LocalGateway, caller: Caller) -> int:
    """What the caller has paid once all calls are settled."""
    await gateway.settle()
    return FULL_NUSD - await gateway.books.balance(caller)


def shows(reply: Reply, status: int, kind: str, *words: str) -> None:
    """The reply is that error in Anthropic's shape, with the request id in its body and both headers."""
    assert reply.status == status, (reply.status, reply.text)
    assert reply.json.keys() == {"type", "error", "request_id"}
    assert reply.json["type"] == "error"
    assert reply.error.keys() == {"type", "message"}
    assert reply.error["type"] == kind
    for word in words:
        assert word in reply.error["message"]
    assert "canary" not in reply.text
    assert re.fullmatch(r"req_[0-9a-f]{32}", reply.json["request_id"])
    assert reply.headers["request-id"] == reply.headers["x-request-id"] == reply.json["request_id"]
