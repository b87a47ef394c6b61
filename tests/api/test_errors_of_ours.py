"""The contract's table from 429 on: what upstreams, faults and endings make, over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.api.conftest import Serving
from tests.support.clients import Caller, shows
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("told", "shown"),
    [("7", "7"), (None, "1"), ("0", "1"), ("3600", "60"), ("soon", "1"), ("nan", "1"), ("1e999", "1")],
)
async def test_429_of_the_upstream_is_ours(caller: Caller, upstream: Upstream, told: str | None, shown: str) -> None:
    """With a Retry-After that is believed within bounds, and without its text."""

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        headers = {"retry-after": told} if told is not None else {}
        body = {"error": {"message": "org canary limit", "type": "requests", "code": "rate_limit_exceeded"}}
        return web.json_response(body, status=429, headers=headers)

    upstream.handler = refuse
    for reply in (await caller.openai(), await caller.seed()):
        shows(reply, 429, "rate_limit_exceeded", "rate_limit_error", "'gpt-4o-mini'", "Retry-After")
        assert reply.headers["retry-after"] == shown
        assert "canary" not in reply.text


@pytest.mark.parametrize("streamed", [False, True])
async def test_500_for_a_fault_of_ours(
    caller: Caller, gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    """A bug below the edge shows nothing of itself, costs nothing and leaves nothing held."""

    async def broken(*_: object) -> Any:
        raise RuntimeError("canary: /home/secret and sk-key")

    monkeypatch.setattr(gateway.inside.engines.chat["up"], "open", broken)
    reply = await caller.openai(stream=streamed)
    shows(reply, 500, "server_error", "server_error", "Report the request id")
    assert "canary" not in reply.text
    await gateway.settle()
    assert await gateway.books.balance(caller) == 5 * 10**9
    assert await gateway.books.held() == 0


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 500, 501, 502, 504, 529])
async def test_502_for_an_upstream_that_fails(caller: Caller, upstream: Upstream, status: int) -> None:
    """Its own 401 and 403 too, and a redirect, which is not followed; none of its words, and nothing charged."""

    async def fail(request: web.Request, asked: Asked) -> web.StreamResponse:
        headers = {"location": upstream.url + "/chat/completions"} if status < 400 else {}
        return web.json_response({"error": {"message": "canary sk-abc"}}, status=status, headers=headers)

    upstream.handler = fail
    for reply in (await caller.openai(), await caller.openai(stream=True)):
        shows(reply, 502, "upstream_error", "server_error", "'gpt-4o-mini'", "another model")
        assert "canary" not in reply.text
    assert len(upstream.asked) == 2
    assert (await caller.get("/v1/balance")).json["available"] == "5"


async def test_502_for_an_upstream_that_is_not_there(serving: Serving) -> None:
    """Nobody listens."""
    async with serving(upstream_url="http://127.0.0.1:9/v1") as gateway:
        caller = await gateway.caller()
        shows(await caller.openai(), 502, "upstream_error", "server_error", "repeat the call")


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "message": "canary bad",
                "type": "invalid_request_error",
                "param": "tools[0].function",
                "code": None,
            }
        },
        {"error": {"message": "canary bad", "param": "tools[0].function; DROP TABLE", "code": "x"}},
        {"error": "canary"},
        ["canary"],
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_400_of_the_upstream_is_the_callers(caller: Caller, upstream: Upstream, body: object, status: int) -> None:
    """With the field where the caller sent it, and never the provider's text."""

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response(body, status=status)

    upstream.handler = refuse
    reply = await caller.openai(tools=[{"type": "function", "function": {"name": "f"}}])
    known = isinstance(body, dict) and isinstance(body["error"], dict) and body["error"].get("code") is None
    shows(
        reply, 400, "invalid_value", "invalid_request_error", "does not accept this request", "documentation",
        param="tools[0].function" if known else None,
    )  # fmt: skip
    assert "canary" not in reply.text


async def test_400_for_a_context_that_the_upstream_finds_too_long(caller: Caller, upstream: Upstream) -> None:
    """OpenAI's and llama.cpp's way to say so."""
    for told in (
        {"code": "context_length_exceeded"},
        {"type": "exceed_context_size_error", "n_prompt_tokens": 200_000},
    ):
        refusal = {"error": {"message": "canary", **told}}

        async def refuse(request: web.Request, asked: Asked, shown: object = refusal) -> web.StreamResponse:
            return web.json_response(shown, status=400)

        upstream.handler = refuse
        reply = await caller.openai()
        shows(reply, 400, "context_length_exceeded", "invalid_request_error", "128000", "Shorten", param="messages")
        assert "canary" not in reply.text


@pytest.mark.parametrize(("status", "code"), [(429, "insufficient_quota"), (402, None), (402, "billing")])
async def test_503_for_an_upstream_that_wants_money(
    caller: Caller, upstream: Upstream, caplog: pytest.LogCaptureFixture, status: int, code: str | None
) -> None:
    """Never the caller's 402: the operator has to pay, and hears of it."""

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": {"message": "canary", "code": code}}, status=status)

    upstream.handler = refuse
    reply = await caller.openai()
    shows(reply, 503, "service_unavailable", "server_error", "the operator was told", "another model")
    assert reply.headers["retry-after"] == "60"
    assert "out of quota: top it up" in caplog.text


async def test_503_for_a_model_without_an_engine(caller: Caller) -> None:
    """The seed's models stay known; those not served are not the caller's mistake."""
    for reply in (await caller.openai(model="gpt-4.1"), await caller.get("/v1/models/gpt-4.1")):
        shows(reply, 503, "service_unavailable", "server_error", "No engine serves the model 'gpt-4.1'", param="model")
        assert int(reply.headers["retry-after"]) >= 1


async def test_503_of_the_upstream_is_ours(caller: Caller, upstream: Upstream) -> None:
    """With its Retry-After."""

    async def busy(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({}, status=503, headers={"retry-after": "9"})

    upstream.handler = busy
    reply = await caller.openai()
    shows(reply, 503, "service_unavailable", "server_error", "Retry-After")
    assert reply.headers["retry-after"] == "9"


async def test_503_while_the_process_is_ending(
    caller: Caller, gateway: LocalGateway, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid calls are refused, `/readyz` says why, `/healthz` goes on."""
    monkeypatch.setattr(gateway.inside.application, "draining", True)
    for reply in (await caller.openai(), await caller.seed()):
        shows(reply, 503, "service_unavailable", "server_error", "restarting", "repeat")
        assert reply.headers["retry-after"] == "2"
        assert reply.headers["connection"] == "close"
    ready = await caller.get("/readyz")
    assert (ready.status, ready.json["status"]) == (503, "draining")
    assert (await caller.get("/healthz")).status == 200
    assert upstream.asked == []


async def test_504_for_an_upstream_that_takes_too_long(serving: Serving, upstream: Upstream) -> None:
    """No header within its deadline: nothing is charged, and the upstream's connection is closed."""

    async def sleep(request: web.Request, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.json_response(completion("late", usage(1, 1)))

    upstream.handler = sleep
    async with serving(engine={"first_byte_s": 0.3}) as gateway:
        caller = await gateway.caller()
        for reply in (await caller.openai(), await caller.seed()):
            shows(reply, 504, "upstream_timeout", "server_error", "did not answer in time", "repeat")
        async with asyncio.timeout(5):
            for asked in upstream.asked:
                await asked.left.wait()
        assert await gateway.books.balance(caller) == 5 * 10**9
