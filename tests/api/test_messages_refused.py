"""Anthropic's API: what is refused, and what engines refuse, in its shape and at no cost."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.api.conftest import Serving
from tests.support.clients import Caller
from tests.support.local_gateway import LocalGateway
from tests.support.messages import COUNT_TOKENS, MESSAGES, send, shows, spent
from tests.support.upstream import Asked, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "bm8gcGljdHVyZQ=="}}
REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"max_tokens": None}, 400, "invalid_request_error", "'max_tokens': it is required"),
    ({"max_tokens": 20_000}, 400, "invalid_request_error", "'max_tokens': the model 'gpt-4o-mini' writes at most 16384"),
    ({"temperature": 9}, 400, "invalid_request_error", "'temperature'"),
    ({"system": "Look.", "messages": [{"role": "user", "content": [PICTURE]}]}, 400, "invalid_request_error",
     "'messages[0].content[0]'"),
    ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, 400, "invalid_request_error",
     "'messages[0].content[0].type': invalid value 'document'"),
    ({"model": "claude-sonnet-4-5"}, 404, "not_found_error", "GET /v1/models lists"),
    ({"model": "gpt-4o"}, 403, "permission_error", "may not use the model 'gpt-4o'"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "kind", "words"), REFUSED, ids=[case[3] for case in REFUSED])
async def test_what_is_refused(
    gateway: LocalGateway, upstream: Upstream, fields: dict[str, Any], status: int, kind: str, words: str
) -> None:
    """By Anthropic's types and field names, at no cost; counting refuses the same, but for what only an answer has."""
    caller = await gateway.caller(models=["gpt-4o-mini"])
    for path in [MESSAGES] if fields.keys() & {"max_tokens", "temperature"} else [MESSAGES, COUNT_TOKENS]:
        shows(await send(caller, path, **fields), status, kind, words)
    assert upstream.asked == []
    assert await spent(gateway, caller) == 0


async def test_other_refusals(gateway: LocalGateway, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the key, the money, the body, the method, the server: each in the same shape."""
    shows(await caller.send(MESSAGES, b"{"), 400, "invalid_request_error", "not valid JSON")
    shows(await caller.send(MESSAGES, b"{}", headers={"content-type": "text/plain"}), 415, "invalid_request_error")
    shows(await caller.send(MESSAGES, b" " * 21 * 1024 * 1024), 413, "request_too_large", "larger than")
    shows(await caller.send(MESSAGES, method="GET"), 405, "invalid_request_error", "Use POST")
    shows(await caller.send(f"{MESSAGES}/batches", method="GET"), 404, "not_found_error", "There is no GET")
    wrong = Caller(gateway.base, "sk-wrong", "", 0, 0)
    shows(await send(wrong), 401, "authentication_error", "not a key of this server")
    shows(await send(await gateway.caller("0")), 402, "billing_error", "smaller max_tokens")
    shows(await send(caller, model="gpt-4.1"), 503, "overloaded_error", "No engine")
    monkeypatch.setattr(gateway.inside.application, "draining", True)
    shows(await send(caller), 503, "overloaded_error", "restarting")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 502, "api_error"),
        (429, 429, "rate_limit_error"),
        (500, 502, "api_error"),
        (503, 503, "overloaded_error"),
    ],
)
async def test_an_engine_that_refuses(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, stream: bool, status: int, told: int, kind: str
) -> None:
    """Before the first byte: an error with a status of its own, at no cost."""

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        error = {"message": "canary", "type": "x", "param": "stop", "code": None}
        return web.json_response({"error": error}, status=status, headers={"retry-after": "3"})

    upstream.handler = refuse
    reply = await send(caller, stream=stream, stop_sequences=["x"])
    shows(reply, told, kind, *(["'stop_sequences'"] if status == 400 else []))
    if told in (429, 503):
        assert reply.headers["retry-after"] == "3"
    assert await spent(gateway, caller) == 0


async def test_a_conversation_to_be_kept(caller: Caller) -> None:
    """Refused with the detail by which Anthropic's own packages learn to send whole conversations."""
    reply = await send(caller, thread={"type": "create"})
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    assert reply.error["details"] == {"error_code": "thread_unsupported_request"}


async def test_an_engine_that_is_silent(serving: Serving, upstream: Upstream) -> None:
    """504 is Anthropic's timeout_error."""
    upstream.pause_s = 5
    async with serving(engine={"first_byte_s": 0.2}) as gateway:
        shows(await send(await gateway.caller()), 504, "timeout_error", "did not answer in time")
