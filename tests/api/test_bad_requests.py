"""What callers get wrong: each 400 names the field and the remedy, and none of them costs or asks an engine."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from tests.support.clients import BODY, OPENAI, SEED, Caller
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")
USER = {"role": "user", "content": "Hi"}


def _with(**fields: object) -> dict[str, object]:
    return {**BODY, **fields}


@pytest.mark.parametrize("path", [SEED, OPENAI])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is empty"),
        (b"   ", "it is empty"),
        (b"{", "truncated"),
        (b'{"model": "gpt-4o-mini",}', "malformed"),
        (b"[1]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b'{"model": NaN}', "malformed"),
        (b'{"model": Infinity}', "malformed"),
        (b'{"model": "\xff"}', "UTF-8"),
        (b'{"model": "\\ud800"}', "malformed"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"model=gpt-4o-mini", "malformed"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_what_is_no_json_object(caller: Caller, path: str, body: bytes, why: str) -> None:
    """`invalid_json` says what is wrong with it."""
    reply = await caller.send(path, body)
    assert reply.status == 400
    assert reply.error["code"] == "invalid_json"
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] is None
    assert reply.error["message"].endswith("Send one UTF-8 JSON object.")
    if why not in ("malformed", "truncated"):
        assert why in reply.error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [USER]}, "model"),
        (_with(model=None), "model"),
        (_with(model=""), "model"),
        (_with(model=7), "model"),
        ({"model": "gpt-4o-mini"}, "messages"),
        (_with(messages=[]), "messages"),
        (_with(messages=None), "messages"),
        (_with(messages="Hi"), "messages"),
        (_with(messages=[USER, "Hi"]), "messages[1]"),
        (_with(messages=[{"role": "robot", "content": "Hi"}]), "messages[0].role"),
        (_with(messages=[{"content": "Hi"}]), "messages[0].role"),
        (_with(messages=[{"role": "user"}]), "messages[0].content"),
        (_with(messages=[USER, {"role": "tool", "content": None}]), "messages[1].content"),
        (_with(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
        (_with(messages=[{"role": "user", "content": [{"type": "video"}]}]), "messages[0].content[0].type"),
        (_with(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text"),
        (
            _with(messages=[{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://a/b"}}]}]),
            "messages[0].content[0]",
        ),
        (_with(temperature=2.1), "temperature"),
        (_with(temperature=-0.1), "temperature"),
        (_with(temperature="1"), "temperature"),
        (_with(temperature=True), "temperature"),
        (_with(max_completion_tokens=0), "max_completion_tokens"),
        (_with(max_completion_tokens=-5), "max_completion_tokens"),
        (_with(max_completion_tokens=1.5), "max_completion_tokens"),
        (_with(max_completion_tokens="10"), "max_completion_tokens"),
        (_with(max_completion_tokens=16_385), "max_completion_tokens"),
        (_with(max_completion_tokens=10**30), "max_completion_tokens"),
        (_with(max_completion_tokens=1e300), "max_completion_tokens"),
        (_with(max_tokens=0), "max_tokens"),
        (_with(max_tokens=3, max_completion_tokens=4), "max_tokens"),
        (_with(n=0), "n"),
        (_with(n=9), "n"),
        (_with(top_p=1.1), "top_p"),
        (_with(presence_penalty=3), "presence_penalty"),
        (_with(frequency_penalty=-3), "frequency_penalty"),
        (_with(top_logprobs=21), "top_logprobs"),
        (_with(logprobs=1), "logprobs"),
        (_with(stream="yes"), "stream"),
        (_with(stream_options=False), "stream_options"),
        (_with(stream_options={"include_usage": 1}), "stream_options.include_usage"),
        (_with(seed=1.5), "seed"),
        (_with(stop=5), "stop"),
        (_with(stop=[5]), "stop[0]"),
        (_with(tools={"type": "function"}), "tools"),
        (_with(tools=["f"]), "tools[0]"),
        (_with(response_format="json"), "response_format"),
        (_with(user=5), "user"),
        (_with(service_tier="priority"), "service_tier"),
        (_with(tools=[{"type": "custom", "custom": {"name": "f"}}, {"type": "web_search"}]), "tools[1].type"),
        (_with(web_search_options={}), "web_search_options"),
        (_with(audio={"voice": "alloy"}), "audio"),
        (_with(modalities=["text", "audio"]), "modalities"),
        (_with(prediction={"type": "content"}), "prediction"),
    ],
    ids=lambda value: json.dumps(value)[-60:] if isinstance(value, dict) else None,
)
async def test_each_field_is_checked_by_name(
    caller: Caller, upstream: Upstream, body: dict[str, object], param: str
) -> None:
    """`invalid_value` with `param`, on both surfaces alike, and the message repeats the name."""
    seed, openai = await caller.send(SEED, body), await caller.send(OPENAI, body)
    assert seed.status == openai.status == 400, seed.text
    assert seed.json == openai.json
    assert seed.error["code"] == "invalid_value"
    assert seed.error["type"] == "invalid_request_error"
    assert seed.error["param"] == param
    assert param in seed.error["message"]
    assert upstream.asked == []


async def test_a_value_is_not_sent_back_at_length(caller: Caller) -> None:
    """However long a wrong word is, its refusal is short."""
    for path in (SEED, OPENAI):
        reply = await caller.send(path, _with(messages=[{"role": "robot" * 10_000, "content": "Hi"}]))
        assert reply.error["param"] == "messages[0].role"
        assert len(reply.body) < 1000


async def test_a_prompt_longer_than_the_model_reads(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """`context_length_exceeded` with both counts, before anything is held or asked."""
    long = [{"role": "user", "content": "word " * 140_000}]
    reply = await caller.openai(messages=long)
    assert reply.status == 400
    assert reply.error["code"] == "context_length_exceeded"
    assert reply.error["param"] == "messages"
    assert "128000" in reply.error["message"]
    assert re.search(r"hold 1400\d\d tokens", reply.error["message"])  # a seam between pieces adds a token
    assert upstream.asked == []
    assert await gateway.books.records(caller) == []


async def test_prices_that_do_not_change_are_taken(caller: Caller) -> None:
    """The one value of a priced field that costs nothing is no error."""
    reply = await caller.openai(service_tier="auto", modalities=["text"], prediction=None)
    assert reply.status == 200, reply.text


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json", ""])
async def test_json_by_any_of_its_names(caller: Caller, media: str) -> None:
    """PHP and shell programs send what they send."""
    reply = await caller.send(OPENAI, BODY, headers={"content-type": media})
    assert reply.status == 200, reply.text


_WEIRD: list[Any] = [
    None, True, 0, -1, 2**63, 2**64, 10**40, 1.5, 1e300, -1e300, "", "x", "\x00", "\N{PILE OF POO}", "9" * 400, [],
    {}, [None], [[]], [{}], {"": None}, {"type": "text"}, {"role": "user", "content": "Hi"}, ["a", 1], {"a": {"b": []}},
    [{"type": "function", "function": None}], {"include_usage": None},
]  # fmt: skip


async def test_no_body_whatever_makes_a_fault_of_ours(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, seed: int
) -> None:
    """1500 bodies with odd values in odd places: refused with a reason or answered, never 500, and money agrees."""
    dice = random.Random(seed)
    names = [
        "model", "messages", "temperature", "top_p", "max_completion_tokens", "max_tokens", "n", "stream", "seed",
        "stream_options", "presence_penalty", "logprobs", "top_logprobs", "stop", "tools", "tool_choice", "functions",
        "response_format", "user", "metadata", "logit_bias", "service_tier", "audio", "modalities", "unknown",
    ]  # fmt: skip
    parts = ["role", "content", "name", "tool_call_id", "tool_calls", "refusal", "other"]
    for _ in range(1500):
        body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [dict(USER)]}
        for _ in range(dice.randint(1, 3)):
            body[dice.choice(names)] = dice.choice(_WEIRD)
        if dice.random() < 0.5 and isinstance(body["messages"], list) and body["messages"]:
            message = body["messages"][0]
            if isinstance(message, dict):
                body["messages"] = [{**message, dice.choice(parts): dice.choice(_WEIRD)}]
        reply = await caller.send(dice.choice([SEED, OPENAI]), body)
        assert reply.status in (200, 400, 402, 404), (reply.status, reply.text, body)
        assert (reply.status == 200) == bool(upstream.asked), body
        if reply.status == 200 and "event-stream" in reply.headers["content-type"]:
            assert reply.done, (body, reply.text)
        upstream.asked.clear()
    await gateway.settle()
    assert await gateway.books.problems() == ()
    assert await gateway.books.held() == 0
