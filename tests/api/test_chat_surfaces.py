"""What the seed's surface and OpenAI's answer when all goes well (contract §2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from tests.support.clients import OPENAI, SEED, Caller
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, chunk, frame, usage, usage_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = "The largest U.S. state by area is Alaska."
#: 17 prompt and 9 completion tokens of gpt-4o-mini.
COST_NUSD = 7950
#: The fields of a chunk in the seed document's sample, in its order.
SEED_FIELDS = ["id", "object", "created", "model", "service_tier", "system_fingerprint", "choices", "usage"]


async def test_the_seed_surface_streams_unless_told_otherwise(caller: Caller, upstream: Upstream) -> None:
    """A stream with content, a usage chunk with the cost, `[DONE]`, and a charset that `requests` understands."""
    reply = await caller.seed()
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.content == ANSWER
    assert reply.done
    last = reply.chunks[-1]
    assert list(last) == SEED_FIELDS
    assert last["choices"] == []
    assert last["usage"] == {**usage(17, 9), "cost": 0.00000795}
    assert reply.cost_nusd == COST_NUSD
    assert upstream.asked[0].body["stream"] is True


async def test_the_seed_surface_answers_whole_when_asked(caller: Caller) -> None:
    """`"stream": false` is honoured, and the reply has the cost and the balance."""
    reply = await caller.seed(stream=False)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["object"] == "chat.completion"
    assert reply.content == ANSWER
    assert reply.usage["cost"] == 0.00000795
    assert reply.headers["x-minitoolai-cost"] == "0.00000795"
    assert reply.headers["x-minitoolai-balance"] == "4.99999205"


async def test_openais_surface_is_whole_unless_told_otherwise(caller: Caller, upstream: Upstream) -> None:
    """As OpenAI's own; cost and balance beside it."""
    reply = await caller.openai()
    assert reply.json["object"] == "chat.completion"
    assert reply.content == ANSWER
    assert reply.usage == {**usage(17, 9), "cost": 0.00000795}
    assert reply.headers["x-minitoolai-cost"] == "0.00000795"
    assert reply.headers["x-minitoolai-balance"] == "4.99999205"
    assert "stream" not in upstream.asked[0].body
    assert "stream_options" not in upstream.asked[0].body


async def test_openais_stream_has_no_usage_unless_asked(caller: Caller, gateway: LocalGateway) -> None:
    """The gateway asks the engine for usage all the same, charges by it, and strips it."""
    reply = await caller.openai(stream=True)
    assert reply.content == ANSWER
    assert reply.done
    assert all(body["choices"] and not body["usage"] for body in reply.chunks)
    assert await gateway.books.balance(caller) == 5 * 10**9 - COST_NUSD


@pytest.mark.parametrize("asked", [True, False])
async def test_openais_stream_has_usage_when_asked(caller: Caller, upstream: Upstream, asked: bool) -> None:
    """`stream_options.include_usage` decides; the engine is always asked."""
    reply = await caller.openai(stream=True, stream_options={"include_usage": asked})
    assert reply.done
    assert bool(reply.chunks[-1]["usage"]) is asked
    if asked:
        assert reply.chunks[-1]["choices"] == []
        assert reply.cost_nusd == COST_NUSD
    assert upstream.asked[0].body["stream_options"] == {"include_usage": True}


async def test_openais_chunks_pass_byte_for_byte(caller: Caller, upstream: Upstream) -> None:
    """Nothing is parsed and written anew that need not be."""
    reply = await caller.openai(stream=True)
    sent = b"".join(upstream.frames(upstream.asked[0])[:-2])
    assert reply.body == sent + b"data: [DONE]\n\n"


async def test_seed_fields_are_filled_where_the_engine_lacks_them(caller: Caller, upstream: Upstream) -> None:
    """vLLM, Ollama and llama.cpp know no service tier; a program written against the sample reads it."""
    head = {"id": "x", "object": "chat.completion.chunk", "created": 5, "model": "small"}

    async def bare(request: web.Request, asked: Asked) -> web.StreamResponse:
        choices: list[list[dict[str, Any]]] = [
            [{"index": 0, "delta": {"role": "assistant", "content": "Al"}}],
            [{"index": 0, "delta": {"content": "aska"}}],
            [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        ]
        frames = [frame({**head, "choices": choice}) for choice in choices]
        frames.append(frame({**head, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}))
        return await upstream.stream(request, asked, [*frames, b"data: [DONE]\n\n"])

    upstream.handler = bare
    reply = await caller.seed()
    assert reply.content == "Alaska"
    for body in reply.chunks:
        assert list(body) == SEED_FIELDS
        assert body["service_tier"] == "default"
        assert body["model"] == "small"
    for body in reply.chunks[:-1]:
        assert body["usage"] is None
        assert list(body["choices"][0]) == ["index", "delta", "logprobs", "finish_reason"]
    shown = reply.usage
    assert shown["total_tokens"] == 5
    assert shown["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 0}
    assert set(shown["completion_tokens_details"]) == {
        "reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens",
    }  # fmt: skip


async def test_polish_comes_through_as_it_is(caller: Caller, upstream: Upstream) -> None:
    """Letters outside ASCII, in and out, whole and streamed."""
    upstream.words = ["Zażółć ", "gęślą ", "jaźń 🙂"]
    messages = [{"role": "user", "content": "Powiedz „zażółć gęślą jaźń” 🙂"}]
    streamed = await caller.seed(messages=messages)
    whole = await caller.openai(messages=messages)
    assert streamed.content == whole.content == "Zażółć gęślą jaźń 🙂"
    assert upstream.asked[0].body["messages"] == messages


@pytest.mark.parametrize("path", [SEED, SEED.rstrip("/"), OPENAI, OPENAI + "/"])
async def test_every_path_answers_with_and_without_a_slash(caller: Caller, path: str) -> None:
    """With no redirect: many clients lose the body of a redirected POST."""
    reply = await caller.send(path, {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]})
    assert reply.status == 200


async def test_no_header_of_the_upstream_reaches_the_caller(caller: Caller) -> None:
    """Only our own, known by name."""
    streamed, whole = await caller.seed(), await caller.openai()
    ours = {"content-type", "x-request-id", "date", "connection"}
    ours |= {f"x-ratelimit-{word}-{what}" for word in ("limit", "remaining", "reset") for what in ("requests", "tokens")}
    assert streamed.headers.keys() <= ours | {"cache-control", "x-accel-buffering", "transfer-encoding"}
    assert whole.headers.keys() <= ours | {"content-length", "x-minitoolai-cost", "x-minitoolai-balance"}


async def test_no_header_of_the_caller_reaches_the_upstream(
    caller: Caller, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the caller's key nor a header of theirs; and proxies of the environment are ignored."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    reply = await caller.send(
        OPENAI,
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
        headers={"x-mine": "canary", "cookie": "canary=1", "openai-organization": "canary"},
    )
    assert reply.status == 200
    seen = json.dumps(upstream.asked[0].headers)
    assert "canary" not in seen
    assert caller.key not in seen
    assert upstream.asked[0].headers["accept-encoding"] == "identity"


async def test_tools_and_formats_pass_untouched(caller: Caller, upstream: Upstream) -> None:
    """What the gateway does not read is the engine's to judge, to the last field."""
    fields: dict[str, Any] = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": [1.5, None]}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"a": {}}}},
        "stop": ["\n", "END"],
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 3,
        "top_p": 0.5,
        "presence_penalty": -1.5,
        "frequency_penalty": 2,
        "logit_bias": {"50256": -100},
        "reasoning_effort": "low",
        "user": "u-1",
        "metadata": {"k": "v"},
        "temperature": 0.25,
        "n": 2,
    }
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]  # fmt: skip
    reply = await caller.openai(messages=messages, **fields)
    assert reply.status == 200, reply.text
    told = upstream.asked[0].body
    assert {name: told[name] for name in fields} == fields
    assert told["messages"] == messages
    assert "x-minitoolai-ignored" not in reply.headers


async def test_tool_calls_stream_through(caller: Caller, upstream: Upstream) -> None:
    """Deltas without content are content too, for the caller and for the charge."""
    part = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}

    async def calls(request: web.Request, asked: Asked) -> web.StreamResponse:
        frames = [chunk({"role": "assistant", "content": None, "tool_calls": [part]}), chunk({}, finish_reason="stop")]
        return await upstream.stream(request, asked, [*frames, usage_frame(usage(20, 11)), b"data: [DONE]\n\n"])

    upstream.handler = calls
    reply = await caller.seed()
    assert reply.chunks[0]["choices"][0]["delta"]["tool_calls"] == [part]
    assert reply.usage["completion_tokens"] == 11


async def test_unknown_fields_are_dropped_and_named(caller: Caller, upstream: Upstream) -> None:
    """So that a misspelt option is seen; a field's name that is no name is not shown back."""
    extra = {"temperatur": 1, "base_url": "http://elsewhere/", "extra_headers": {}, "x\r\ny: z": 1}
    reply = await caller.openai(**extra)
    assert reply.headers["x-minitoolai-ignored"] == "base_url, extra_headers, temperatur"
    assert not extra.keys() & upstream.asked[0].body.keys()
    streamed = await caller.seed(**extra)
    assert streamed.headers["x-minitoolai-ignored"] == "base_url, extra_headers, temperatur"


async def test_both_names_of_the_limit_mean_the_same(caller: Caller, upstream: Upstream) -> None:
    """`max_tokens` and `max_completion_tokens`; alike they may stand together; 3.0 is an integer."""
    for fields, told in (
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_completion_tokens": 9.0}, 9),
        ({"max_tokens": 6, "max_completion_tokens": 6}, 6),
        ({"max_tokens": None, "max_completion_tokens": 5}, 5),
    ):
        assert (await caller.openai(**fields)).status == 200
        assert upstream.asked[-1].body["max_completion_tokens"] == told
        assert "max_tokens" not in upstream.asked[-1].body


async def test_the_limit_left_open_is_each_surfaces_own(caller: Caller, upstream: Upstream) -> None:
    """1000 on the seed's, 4096 on OpenAI's; null is the same as nothing."""
    for call, told in ((caller.seed, 1000), (caller.openai, 4096)):
        await call()
        await call(max_completion_tokens=None, max_tokens=None)
        assert [asked.body["max_completion_tokens"] for asked in upstream.asked[-2:]] == [told, told]


async def test_null_is_the_same_as_nothing(caller: Caller, upstream: Upstream) -> None:
    """The seed says of its fields "number or null"; programs send null for the others as well."""
    names = ("temperature", "top_p", "n", "stream_options", "stop", "tools", "response_format", "seed", "user",
             "presence_penalty", "logprobs", "service_tier", "audio", "prediction", "stream")  # fmt: skip
    reply = await caller.seed(**dict.fromkeys(names))
    assert reply.status == 200, reply.text
    assert "event-stream" in reply.headers["content-type"]
    assert upstream.asked[0].body.keys() == {
        "model", "messages", "max_completion_tokens", "stream", "stream_options",
    }  # fmt: skip


async def test_a_small_balance_shortens_an_answer_of_open_length(gateway: LocalGateway, upstream: Upstream) -> None:
    """In place of a false 402; a limit that the caller set is never lowered."""
    poor = await gateway.caller("0.0001")
    reply = await poor.openai()
    assert reply.status == 200
    told = upstream.asked[0].body["max_completion_tokens"]
    assert 16 <= told < 0.0001 * 10**9 / 600
    refused = await poor.openai(max_completion_tokens=4096)
    assert refused.status == 402
    assert len(upstream.asked) == 1


async def test_an_alias_is_the_model(caller: Caller, upstream: Upstream) -> None:
    """OpenAI's dated names are served and told to the engine by the model's own."""
    assert (await caller.openai(model="gpt-4o-mini-2024-07-18")).status == 200
    assert upstream.asked[0].body["model"] == "gpt-4o-mini"
