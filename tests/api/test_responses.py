"""`POST /v1/responses`: what it answers, what it refuses, and that it is charged as chat is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt
from tests.support.clients import BODY, QUESTION, Caller, Reply
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import WORDS, Asked, Upstream, chunk, error_beside_choices, frame, usage, usage_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/responses"
ANSWER = "".join(WORDS)
FULL_NUSD = 5 * 10**9
MINI = TokenPrices(150_000_000, 600_000_000)
#: 17 prompt and 9 completion tokens of gpt-4o-mini.
COST_NUSD = 7950
START = [chunk({"role": "assistant", "content": ""}), chunk({"content": "The"}), chunk({"content": " largest"})]
STARTED_NUSD = MINI.cost_nusd(count_prompt(BODY), 2)


async def respond(caller: Caller, headers: Mapping[str, str] | None = None, **fields: object) -> Reply:
    """Call the route; a field that is None is left out."""
    asked = {"model": "gpt-4o-mini", "input": QUESTION, **fields}
    return await caller.send(PATH, {name: value for name, value in asked.items() if value is not None}, headers=headers)


def events(reply: Reply) -> list[dict[str, Any]]:
    """The events of a stream."""
    frames = [frame for frame in reply.text.split("\n\n") if frame and not frame.startswith(":")]
    return [json.loads(frame.split("\ndata: ", 1)[1]) for frame in frames]


async def test_a_whole_response(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The engine is asked as in chat; cost and balance stand in the headers, the cost in the usage too."""
    reply = await respond(caller)
    assert reply.status == 200
    assert upstream.asked[0].body["messages"] == BODY["messages"]
    assert reply.json["output"][0]["content"][0]["text"] == ANSWER
    assert (reply.json["status"], reply.json["store"]) == ("completed", False)
    assert reply.usage["cost"] == 0.00000795
    assert reply.headers["x-minitoolai-cost"] == "0.00000795"
    assert reply.headers["x-minitoolai-balance"] == "4.99999205"
    assert "x-minitoolai-ignored" not in reply.headers
    assert await gateway.books.balance(caller) == FULL_NUSD - COST_NUSD


async def test_a_streamed_response(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Named events; the last one has the response, its usage and its cost. There is no `[DONE]`."""
    reply = await respond(caller, stream=True)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.text.startswith("event: response.created\ndata: {")
    assert "[DONE]" not in reply.text
    found = events(reply)
    assert "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta") == ANSWER
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"]["usage"]["cost"] == 0.00000795
    assert upstream.asked[0].body["stream_options"] == {"include_usage": True}
    assert await gateway.books.balance(caller) == FULL_NUSD - COST_NUSD


async def test_what_changes_nothing_is_named(caller: Caller) -> None:
    """`store` is taken and not done; unknown fields are dropped."""
    reply = await respond(caller, store=True, truncation="disabled", moderation={}, reasoning={"summary": "auto"})
    assert reply.headers["x-minitoolai-ignored"] == "moderation, reasoning.summary, store"
    assert (await respond(caller, store=False)).headers.get("x-minitoolai-ignored") is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://a.example/b.png"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "https://a.example/b"}]}]},
            "input[0].content[0]",
        ),
        ({"temperature": 9}, "temperature"),
        ({"max_output_tokens": 99_999}, "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"service_tier": "no-such-tier"}, "service_tier"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
    ],
    ids=repr,
)
async def test_bad_bodies(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, fields: dict[str, Any], param: str
) -> None:
    """400 names the field as this API calls it, in the message too. Nothing is asked, held or charged."""
    reply = await respond(caller, **fields)
    assert reply.status == 400
    assert reply.error["param"] == param
    assert f"'{param}'" in reply.error["message"]
    assert "max_completion_tokens" not in reply.text
    assert not upstream.asked
    assert await gateway.books.held() == 0
    assert await gateway.books.balance(caller) == FULL_NUSD


async def test_no_json_no_key_no_such_model(caller: Caller) -> None:
    """As on every route."""
    assert (await caller.send(PATH, b"{")).error["code"] == "invalid_json"
    assert (await respond(caller, {"authorization": "Bearer sk-x"})).error["code"] == "invalid_api_key"
    assert (await respond(caller, model="gpt-9")).error["code"] == "model_not_found"


async def test_no_money_and_too_dear(gateway: LocalGateway, caller: Caller) -> None:
    """402 speaks of `max_output_tokens`."""
    broke = await respond(await gateway.caller("0"), max_output_tokens=100)
    assert (broke.status, broke.error["code"]) == (402, "insufficient_credit")
    assert "max_output_tokens" in broke.error["message"]
    capped = await respond(caller, {"x-max-cost": "0.000001"})
    assert (capped.status, capped.error["param"]) == (402, "x-max-cost")


async def test_what_the_engine_refuses(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The engine's word for a field is put back into the caller's; nothing is charged."""

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        told = {"message": "canary", "type": "invalid_request_error", "param": "messages[1].content", "code": None}
        return web.json_response({"error": told}, status=400)

    upstream.handler = refuse
    for stream in (False, True):
        reply = await respond(caller, instructions="Be brief.", input=[{"role": "user", "content": "Hi"}], stream=stream)
        assert reply.status == 400
        assert reply.error["param"] == "input[0].content"
        assert ": 'input[0].content'." in reply.error["message"]
    await gateway.settle()
    assert await gateway.books.balance(caller) == FULL_NUSD


BREAKS = {
    "ends early": [],
    "an error event": [b'data: {"error":{"message":"canary"}}\n\n'],
    "an error beside choices": [error_beside_choices()],
    "usage of its own, then nothing": [frame({"usage": {"prompt_tokens": 17}})],
    "garbage": [b"data: <html>canary</html>\n\n"],
    "half JSON": [b'data: {"canary": }\n\n', b"data: [DONE]\n\n"],
}


@pytest.mark.parametrize("how", BREAKS)
async def test_a_stream_that_breaks(gateway: LocalGateway, caller: Caller, upstream: Upstream, how: str) -> None:
    """`response.failed` with our error is the last event; what had come is charged."""

    async def send(request: web.Request, asked: Asked) -> web.StreamResponse:
        upstream.pause_s = 0.05
        return await upstream.stream(request, asked, [*START, *BREAKS[how]])

    upstream.handler = send
    reply = await respond(caller, stream=True)
    assert reply.whole
    assert "canary" not in reply.text
    assert "response.completed" not in reply.text
    last = events(reply)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "upstream_error"
    assert last["response"]["output"][0]["content"][0]["text"] == "The largest"
    await gateway.settle()
    assert (await gateway.books.record(caller))["cost"] == STARTED_NUSD


async def test_a_caller_who_leaves(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The upstream is left, and what it had said is charged."""

    async def hang(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = await upstream.begin(request)
        await reply.write(b"".join(START))
        await asyncio.sleep(60)
        return reply

    upstream.handler = hang
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(caller.request(PATH, {"model": "gpt-4o-mini", "input": QUESTION, "stream": True}))
    await reader.readuntil(b'" largest"')
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    await asyncio.wait_for(upstream.asked[0].left.wait(), 5)
    await gateway.settle()
    assert (await gateway.books.record(caller))["cost"] == STARTED_NUSD
    assert await gateway.books.balance(caller) == FULL_NUSD - STARTED_NUSD
    assert await gateway.books.held() == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_repeated(gateway: LocalGateway, caller: Caller, upstream: Upstream, stream: bool) -> None:
    """`Idempotency-Key`: the same response with the same ids, charged once; another body under the key is refused."""

    async def think(request: web.Request, asked: Asked) -> web.StreamResponse:
        if not asked.body.get("stream"):
            return await upstream.answer(request, asked)
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        deltas: list[dict[str, Any]] = [{"reasoning_content": "Hm"}, {"content": "Hi"}, {"tool_calls": [call]}]
        end = [chunk({}, finish_reason="tool_calls"), usage_frame(usage(17, 9)), b"data: [DONE]\n\n"]
        return await upstream.stream(request, asked, [*(chunk(delta) for delta in deltas), *end])

    upstream.handler = think
    key = {"idempotency-key": f"again-{stream}"}
    first = await respond(caller, key, stream=stream)
    again = await respond(caller, key, stream=stream)
    assert again.headers["x-minitoolai-replayed"] == "true"
    if stream:
        assert len(events(first)[-1]["response"]["output"]) == 3
        assert events(again)[-1]["response"] == events(first)[-1]["response"]
    else:
        assert again.json == first.json
    assert len(upstream.asked) == 1
    assert (await respond(caller, key, input="Other", stream=stream)).error["code"] == "idempotency_mismatch"
    await gateway.settle()
    assert await gateway.books.balance(caller) == FULL_NUSD - COST_NUSD


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_nothing_is_stored(caller: Caller, method: str) -> None:
    """Asking for an earlier response is 404, which says what to do; it takes a key all the same."""
    reply = await caller.send(f"{PATH}/resp_1", method=method)
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert "stores no responses" in reply.error["message"]
    assert (await caller.send(f"{PATH}/resp_1", method=method, headers={"authorization": "Bearer no"})).status == 401
