"""Each row of docs/reference/errors.md is shown by a request: status, code and type, in OpenAI's shape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from minitoolai.core.access import make_key
from minitoolai.edge import protocol
from tests.api.conftest import Serving
from tests.house.documents import reference, rows, sections
from tests.support.clients import BODY, OPENAI, Caller, Reply, exchange_bytes, parse_reply, until
from tests.support.faithful_values import png
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = {(int(row[0]), row[1].strip("`"), row[2].strip("`")) for row in rows(sections(reference("errors.md"))["Codes"])}


class Desk:
    """What a request is made with."""

    def __init__(self, gateway: LocalGateway, upstream: Upstream, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.serving = serving
        self.monkeypatch = monkeypatch

    async def ask(self, key: dict[str, Any] | None = None, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        """Call on OpenAI's surface with a new key of such terms."""
        caller = await self.gateway.caller(**(key or {}))
        return await caller.send(OPENAI, {**BODY, **fields}, headers=headers)

    async def ask_at(self, path: str, body: object = BODY, method: str = "POST", **headers: str) -> Reply:
        """Send anything."""
        caller = await self.gateway.caller()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await caller.send(path, body, method=method, headers=named)

    async def raw(self, cut: int | None = None, *more: str) -> Reply:
        """Send the bytes of a request, or a part of them."""
        caller = await self.gateway.caller()
        return parse_reply(await exchange_bytes(self.gateway.port, caller.request(OPENAI, BODY, *more)[:cut]))


def image(url: str) -> list[dict[str, Any]]:
    """Messages with a picture."""
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


async def _late(desk: Desk) -> Reply:
    desk.monkeypatch.setattr(protocol, "HEADER_DEADLINE_S", 0.2)
    return await desk.raw(20)


async def _twice(desk: Desk, second: dict[str, Any]) -> Reply:
    """The same Idempotency-Key again while the first call runs."""
    desk.upstream.pause_s = 0.4
    caller, headers = await desk.gateway.caller(), {"idempotency-key": "k"}
    first = asyncio.create_task(caller.send(OPENAI, BODY, headers=headers))
    await until(lambda: desk.upstream.asked, "the first call")
    reply = await caller.send(OPENAI, {**BODY, **second}, headers=headers)
    assert (await first).status == 200
    return reply


async def _too_many(desk: Desk) -> Reply:
    caller = await desk.gateway.caller(requests_per_minute=1)
    assert (await caller.openai()).status == 200
    reply = await caller.openai()
    limits = {name.removeprefix("x-ratelimit-") for name in reply.headers if name.startswith("x-ratelimit-")}
    assert limits == {f"{of}-{kind}" for of in ("limit", "remaining", "reset") for kind in ("requests", "tokens")}
    assert int(reply.headers["retry-after"]) >= 1
    return reply


async def _elsewhere(desk: Desk, **options: Any) -> Reply:
    async with desk.serving(**options) as gateway:
        return await (await gateway.caller()).openai()


async def _slow(desk: Desk) -> Reply:
    desk.upstream.pause_s = 5.0
    return await _elsewhere(desk, engine={"first_byte_s": 0.2})


async def _bug(desk: Desk) -> Reply:
    async def broken(*_: object) -> Any:
        raise RuntimeError("a bug")

    desk.monkeypatch.setattr(desk.gateway.inside.engines.chat["up"], "open", broken)
    return await desk.ask()


Show = Callable[[Desk], Awaitable[Reply]]
SHOWN: dict[str, Show] = {
    "invalid_json": lambda desk: desk.ask_at(OPENAI, b"{"),
    "invalid_value": lambda desk: desk.ask(temperature=3),
    "context_length_exceeded": lambda desk: desk.ask(messages=[{"role": "user", "content": "word " * 200_000}]),
    "invalid_image_url": lambda desk: desk.ask(messages=image("http://example.com/a.png")),
    "image_too_large": lambda desk: desk.ask(messages=image(png(12_000, 12_000))),
    "invalid_api_key": lambda desk: desk.ask_at(OPENAI, authorization="Bearer " + make_key(b"x" * 32)),
    "insufficient_credit": lambda desk: desk.ask({"credit_usd": "0.0001"}, max_completion_tokens=16_000),
    "permission_denied": lambda desk: desk.ask({"addresses": ("203.0.113.0/24",)}),
    "model_not_found": lambda desk: desk.ask(model="gpt-9"),
    "not_found": lambda desk: desk.ask_at("/v1/nothing"),
    "method_not_allowed": lambda desk: desk.ask_at(OPENAI, None, "GET"),
    "request_timeout": _late,
    "idempotency_in_progress": lambda desk: _twice(desk, {}),
    "request_too_large": lambda desk: desk.ask_at(OPENAI, b" " * (21 * 1024 * 1024)),
    "unsupported_media_type": lambda desk: desk.ask_at(OPENAI, content_type="text/plain"),
    "idempotency_mismatch": lambda desk: _twice(desk, {"temperature": 0.5}),
    "rate_limit_exceeded": _too_many,
    "headers_too_large": lambda desk: desk.raw(None, "x-long: " + "v" * 40_000),
    "server_error": _bug,
    "upstream_error": lambda desk: _elsewhere(desk, upstream_url="http://127.0.0.1:9/v1"),
    "service_unavailable": lambda desk: desk.ask(model="gpt-4.1"),
    "upstream_timeout": _slow,
}


@pytest.mark.parametrize(("status", "code", "kind"), sorted(ROWS))
async def test_each_row_is_shown_by_a_request(
    gateway: LocalGateway,
    upstream: Upstream,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    kind: str,
) -> None:
    """Nothing of it was charged, and nothing stays held."""
    reply = await SHOWN[code](Desk(gateway, upstream, serving, monkeypatch))
    assert (reply.status, reply.error["code"], reply.error["type"]) == (status, code, kind)
    assert reply.error.keys() == {"message", "type", "param", "code"}
    assert reply.headers["x-request-id"].startswith("req_")
    assert ("retry-after" in reply.headers) == (status in (429, 503))
    await gateway.settle()
    assert await gateway.books.held() == 0


async def test_no_row_is_missing(caller: Caller) -> None:
    """Every code that is documented is shown above, and no other."""
    assert {code for _, code, _ in ROWS} == SHOWN.keys()
