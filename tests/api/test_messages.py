"""Anthropic's API over the same chat: what it answers, refuses and charges."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import web

from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import count_prompt
from minitoolai.runtime.model_settings import ModelSettings
from tests.api.conftest import Serving
from tests.support.clients import Caller, until
from tests.support.local_gateway import LocalGateway
from tests.support.messages import ASKED, COUNT_TOKENS, MESSAGES, VERSION, events, send, shows, spent, written
from tests.support.upstream import WORDS, Asked, Upstream, chunk, completion, error_beside_choices, usage, usage_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINI = TokenPrices(150_000_000, 600_000_000)
WHOLE_NUSD = MINI.cost_nusd(17, len(WORDS))
START = [chunk({"role": "assistant", "content": ""}), chunk({"content": "The"}), chunk({"content": " largest"})]


async def test_a_whole_message(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The answer, its usage with the cost, and the same cost in the header and on the account."""
    reply = await send(caller, top_k=5, system="Be brief.")
    assert reply.status == 200
    assert reply.json == {
        "id": "msg_B5qoZsT8kFDNJK3UyGLiJmjv6Pp90", "type": "message", "role": "assistant",
        "model": "gpt-4o-mini-2024-07-18", "content": [{"type": "text", "text": "".join(WORDS)}],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {
            "input_tokens": 17, "output_tokens": len(WORDS), "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens_details": {"thinking_tokens": 0}, "service_tier": "standard",
            "cost": WHOLE_NUSD / 10**9,
        },
    }  # fmt: skip
    assert reply.headers["request-id"] == reply.headers["x-request-id"]
    assert reply.headers["x-minitoolai-ignored"] == "top_k"
    assert float(reply.headers["x-minitoolai-cost"]) == WHOLE_NUSD / 10**9
    assert await spent(gateway, caller) == WHOLE_NUSD
    (asked,) = upstream.asked
    assert asked.body["max_completion_tokens"] == 100
    assert [message["role"] for message in asked.body["messages"]] == ["system", "user"]


async def test_a_stream(gateway: LocalGateway, caller: Caller) -> None:
    """It begins with the prompt's count and ends with the true usage and the cost, charged before it is told."""
    reply = await send(caller, stream=True)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["request-id"] == reply.headers["x-request-id"]
    found = events(reply)
    assert found[0]["message"]["usage"]["input_tokens"] == count_prompt(ASKED)
    assert [event["type"] for event in found[:3]] == ["message_start", "ping", "content_block_start"]
    assert [event["type"] for event in found[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert written(reply) == "".join(WORDS)
    assert (found[-2]["usage"]["input_tokens"], found[-2]["usage"]["output_tokens"]) == (17, len(WORDS))
    assert found[-2]["usage"]["cost"] == WHOLE_NUSD / 10**9
    assert await spent(gateway, caller) == WHOLE_NUSD


async def test_what_was_cached_is_no_part_of_the_input(caller: Caller, upstream: Upstream) -> None:
    """As Anthropic accounts for it."""

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        told = usage(1500, 3)
        told["prompt_tokens_details"]["cached_tokens"] = 1024
        return web.json_response(completion("Hi", told))

    upstream.handler = answer
    found = (await send(caller)).json["usage"]
    assert (found["input_tokens"], found["cache_read_input_tokens"]) == (476, 1024)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_repeated_message(gateway: LocalGateway, caller: Caller, stream: bool) -> None:
    """With the same `Idempotency-Key`: the same message, charged once."""
    key = {"idempotency-key": f"key-{stream}"}
    first, again = [await send(caller, headers=key, stream=stream) for _ in range(2)]
    assert again.headers["x-minitoolai-replayed"] == "true"
    if stream:
        assert written(first) == written(again)
        assert events(first)[0] == events(again)[0]
        assert events(first)[-3:] == events(again)[-3:]
    else:
        assert first.json == again.json
    assert await spent(gateway, caller) == WHOLE_NUSD


async def test_counting_costs_nothing(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The engine is not asked; tools and pictures count; the key must be right, and it may have no credit."""
    plain = await send(caller, COUNT_TOKENS, max_tokens=None)
    assert plain.json == {"input_tokens": count_prompt(ASKED)}
    assert plain.headers["request-id"].startswith("req_")
    tool = {"name": "weather", "description": "At a place.", "input_schema": {"type": "object"}}
    assert (await send(caller, COUNT_TOKENS, tools=[tool])).json["input_tokens"] > plain.json["input_tokens"]
    broke = await gateway.caller("0")
    assert (await send(broke, COUNT_TOKENS)).json == plain.json
    assert upstream.asked == []
    assert await spent(gateway, caller) == 0


async def test_counting_takes_4_mib(caller: Caller) -> None:
    """It costs work and no money; a call of the same size is taken for what it is."""
    long = [{"role": "user", "content": "word " * 900_000}]
    told = await send(caller, COUNT_TOKENS, messages=long)
    assert (told.status, told.json["error"]["type"]) == (413, "request_too_large")
    assert (await send(caller, messages=long)).status == 400


async def test_counting_goes_beyond_what_a_model_reads(caller: Caller) -> None:
    """Callers count to learn how much is too much."""
    long = [{"role": "user", "content": "word " * 130_000}]
    assert (await send(caller, COUNT_TOKENS, messages=long)).json["input_tokens"] > 128_000
    told = (await send(caller, messages=long)).error
    assert told["type"] == "invalid_request_error"
    assert "more than the 128000 that the model" in told["message"]


@pytest.mark.parametrize("told", [b'data: {"error": {"message": "canary"}}\n\n', error_beside_choices()])
async def test_a_stream_that_breaks_off(gateway: LocalGateway, caller: Caller, upstream: Upstream, told: bytes) -> None:
    """What came is delivered and charged; then an `error` event, and no `message_stop`."""

    async def break_off(request: web.Request, asked: Asked) -> web.StreamResponse:
        upstream.pause_s = 0.05
        return await upstream.stream(request, asked, [*START, told])

    upstream.handler = break_off
    reply = await send(caller, stream=True)
    assert (reply.status, reply.whole) == (200, True)
    found = events(reply)
    assert [event["type"] for event in found[2:]] == [
        "content_block_start", "content_block_delta", "content_block_delta", "error",
    ]  # fmt: skip
    assert found[-1]["error"]["type"] == "api_error"
    assert found[-1]["request_id"] == reply.headers["request-id"]
    assert "canary" not in reply.text
    assert await spent(gateway, caller) == MINI.cost_nusd(count_prompt(ASKED), 2)


async def test_a_caller_who_leaves(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """The upstream stops, and what it had sent is charged."""

    async def hang(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = await upstream.begin(request)
        await reply.write(b"".join(START))
        await asyncio.sleep(60)
        return reply

    upstream.handler = hang
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(caller.request(MESSAGES, {**ASKED, "stream": True}))
    await reader.readuntil(b"largest")
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    await until(upstream.asked[0].left.is_set, "the upstream is left")
    assert await spent(gateway, caller) == MINI.cost_nusd(count_prompt(ASKED), 2)


async def test_parallel_tools_and_reasoning(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """From an engine that thinks and calls two tools: blocks in their order, charged as it reports."""

    def called(index: int, arguments: str, **more: Any) -> bytes:
        return chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}, **more}]})

    def begun(index: int) -> bytes:
        function = {"name": f"tool{index}", "arguments": ""}
        return chunk({"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": function}]})

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        frames = [chunk({"reasoning_content": "Hm."}), begun(0), called(0, '{"a":'), called(0, "1}"), begun(1)]
        end = [called(1, "{}"), chunk({}, finish_reason="tool_calls"), usage_frame(usage(17, 20)), b"data: [DONE]\n\n"]
        return await upstream.stream(request, asked, [*frames, *end])

    upstream.handler = answer
    tools = [{"name": f"tool{index}", "input_schema": {"type": "object"}} for index in range(2)]
    found = events(await send(caller, stream=True, tools=tools, thinking={"type": "enabled", "budget_tokens": 1024}))
    blocks = [event["content_block"]["type"] for event in found if event["type"] == "content_block_start"]
    assert blocks == ["thinking", "tool_use", "tool_use"]
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    assert await spent(gateway, caller) == MINI.cost_nusd(17, 20)


async def test_the_models(caller: Caller) -> None:
    """With Anthropic's header: its page, its model, its errors."""
    page = (await caller.send("/v1/models", method="GET", headers=VERSION)).json
    assert page.keys() == {"data", "has_more", "first_id", "last_id"}
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "gpt-4o-mini", "gpt-4o")
    one = await caller.send("/v1/models/gpt-4o-mini-2024-07-18", method="GET", headers=VERSION)
    assert one.json == page["data"][0] == {
        "type": "model", "id": "gpt-4o-mini", "display_name": "gpt-4o-mini", "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active", "max_input_tokens": 128_000, "max_tokens": 16_384,
    }  # fmt: skip
    shows(await caller.send("/v1/models/x", method="GET", headers=VERSION), 404, "not_found_error")


async def test_an_alias(serving: Serving) -> None:
    """Programs with a fixed name work where the operator gave a model that name."""
    async with serving(models={"gpt-4o-mini": ModelSettings(engine="up", aliases=("claude-sonnet-4-5",))}) as gateway:
        assert (await send(await gateway.caller(), model="claude-sonnet-4-5")).status == 200
