"""The faithful upstream itself, asked by OpenAI's package without a gateway between: what it says, refuses and bills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from minitoolai.core.tokens import count_text
from tests.support.clients import until
from tests.support.faithful_chat import Refusal
from tests.support.faithful_upstream import KEY, FaithfulUpstream
from tests.support.faithful_values import fitting, image_tokens, png, tokens_of


@pytest.fixture
async def faithful() -> AsyncIterator[FaithfulUpstream]:
    """The upstream in the test's own loop."""
    async with FaithfulUpstream() as server:
        yield server


@pytest.fixture
async def client(faithful: FaithfulUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's package, with the upstream's key and no retries."""
    async with openai.AsyncOpenAI(base_url=faithful.url, api_key=KEY, max_retries=0) as made:
        yield made


def asked(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """Return a call."""
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


async def test_tokens_are_those_of_the_vocabulary() -> None:
    """However a text is cut, as many tokens are sent as it has, and together they are the text."""
    for text in ("", "Alaska", "Zażółć gęślą jaźń", "🎉👩‍👩‍👧‍👦 ok", "<|endoftext|>"):
        pieces = tokens_of(text)
        assert "".join(pieces) == text
        assert len(pieces) == count_text(text)


async def test_whole_and_streamed_bill_the_same(faithful: FaithfulUpstream, client: openai.AsyncOpenAI) -> None:
    """One answer, one usage: in the reply, in the usage chunk and in what is kept for the invoice."""
    whole: Any = await client.chat.completions.create(**asked("Zażółć 🎉", n=2))
    options = {"include_usage": True}
    stream: Any = await client.chat.completions.create(**asked("Zażółć 🎉", n=2, stream=True, stream_options=options))
    chunks = [chunk async for chunk in stream]
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == 1)
    assert said == whole.choices[1].message.content == "You said: Zażółć 🎉"
    assert whole.usage == chunks[-1].usage
    assert faithful.calls[0].billed == faithful.calls[1].billed == whole.usage.model_dump(exclude_none=True)
    assert whole.usage.completion_tokens == 2 * count_text(said)
    assert faithful.calls[1].sent_tokens == whole.usage.completion_tokens


async def test_a_caller_who_leaves_is_billed_what_was_made(faithful: FaithfulUpstream, client: openai.AsyncOpenAI) -> None:
    """The prompt, and the tokens up to then."""
    faithful.pause_s = 0.02
    stream: Any = await client.chat.completions.create(**asked("one two three " * 100, stream=True))
    received = 0
    async for chunk in stream:
        received += bool(chunk.choices[0].delta.content)
        if received == 3:
            break
    await stream.close()
    (call,) = faithful.calls
    await until(call.ended.is_set, "the end of the call")
    assert call.left
    assert call.billed is not None
    assert 3 <= call.sent_tokens == call.billed["completion_tokens"] < 200
    assert call.billed["prompt_tokens"] > 300


async def test_a_long_beginning_is_cached(faithful: FaithfulUpstream, client: openai.AsyncOpenAI) -> None:
    """From 1024 tokens on, in steps of 128, and only what an earlier prompt began with."""
    long = "the quick brown fox jumps over the lazy dog " * 200
    cached = []
    for text in (long + "one", long + "two", "Something else", "x" + long):
        reply: Any = await client.chat.completions.create(**asked(text))
        cached.append(reply.usage.prompt_tokens_details.cached_tokens)
    assert cached[0] == cached[2] == cached[3] == 0
    assert cached[1] % 128 == 0
    assert count_text(long) - 128 <= cached[1] <= count_text(long) + 8


async def test_reasoning_eats_the_limit(client: openai.AsyncOpenAI) -> None:
    """A reasoning model thinks first; a limit below that leaves no word, and all is billed."""
    reply: Any = await client.chat.completions.create(**asked(model="o4-mini", max_completion_tokens=20))
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("", "length")
    assert reply.usage.completion_tokens == reply.usage.completion_tokens_details.reasoning_tokens == 20


async def test_what_was_arranged_happens(faithful: FaithfulUpstream, client: openai.AsyncOpenAI) -> None:
    """A refusal with its header, a stream that breaks, another answer."""
    faithful.refusals = [Refusal(429, "Slow down", kind="requests", code="rate_limit_exceeded", retry_after="7")]
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(**asked())
    assert limited.value.response.headers["retry-after"] == "7"
    assert faithful.calls[-1].billed is None
    faithful.break_after = 2
    with pytest.raises(openai.APIConnectionError):
        [chunk async for chunk in await client.chat.completions.create(**asked(stream=True))]
    assert faithful.calls[-1].sent_tokens == 1
    faithful.calm()
    faithful.text = "Nothing else"
    assert (await client.chat.completions.create(**asked())).choices[0].message.content == "Nothing else"
    assert len(faithful.calls) == 1


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REFUSED: list[tuple[str, dict[str, Any], int, str | None]] = [
    ("no such model", {"model": "gpt-99"}, 404, None),
    ("an unknown field", {"extra_body": {"surprise": 1}}, 400, None),
    ("max_tokens of a reasoning model", {"model": "o4-mini", "max_tokens": 5}, 400, "max_tokens"),
    ("alternatives without probabilities", {"top_logprobs": 2}, 400, "top_logprobs"),
    ("a choice without tools", {"tool_choice": "required"}, 400, "tool_choice"),
    ("stream options of a whole reply", {"stream_options": {"include_usage": True}}, 400, "stream_options"),
    ("an answer to no call", {"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, 400,
     "messages.[0].role"),
    ("a call without its answer", {"messages": [{"role": "assistant", "tool_calls": [CALL]},
                                                {"role": "user", "content": "and?"}]}, 400, "messages"),
    ("a schema that is not strict", {"response_format": {"type": "json_schema", "json_schema": {
        "name": "x", "strict": True, "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}}, 400,
     "response_format"),
    ("more than fits", {"messages": [{"role": "user", "content": "word " * 130_000}]}, 400, "messages"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "param"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_it_refuses_as_published(
    faithful: FaithfulUpstream, client: openai.AsyncOpenAI, fields: dict[str, Any], status: int, param: str | None
) -> None:
    """Status and parameter are OpenAI's; nothing is billed."""
    with pytest.raises(openai.APIStatusError) as refused:
        await client.chat.completions.create(**asked(**fields))
    assert (refused.value.status_code, refused.value.param) == (status, param)
    assert faithful.calls[0].billed is None


async def test_another_key_is_refused(faithful: FaithfulUpstream, client: openai.AsyncOpenAI) -> None:
    """Only its own key is taken."""
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-other").chat.completions.create(**asked())
    assert faithful.calls[0].status == 401


async def test_values_fit_their_schema() -> None:
    """References, choices of schemas, lists and constants."""
    schema = {
        "type": "object",
        "properties": {
            "next": {"$ref": "#/$defs/leaf"},
            "either": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "list": {"type": "array", "items": {"type": "number", "minimum": 2}, "minItems": 2},
            "kind": {"const": "x"},
            "maybe": {"type": ["boolean", "null"]},
        },
        "$defs": {"leaf": {"type": "string", "enum": ["a", "b"]}},
    }
    assert fitting(schema) == {"next": "a", "either": None, "list": [2, 2], "kind": "x", "maybe": True}


async def test_the_tier_that_was_asked_for_is_told(client: openai.AsyncOpenAI) -> None:
    """`auto` is the usual one."""
    tiers = ("flex", "auto", "priority")
    replies = [await client.chat.completions.create(**asked(service_tier=tier)) for tier in tiers]
    assert [reply.service_tier for reply in replies] == ["flex", "default", "priority"]


@pytest.mark.parametrize(("model", "size", "detail", "tokens"), [
    ("gpt-4o", (1024, 1024), "high", 765),
    ("gpt-4o", (2048, 4096), "high", 1105),
    ("gpt-4o", (4096, 8192), "low", 85),
    ("gpt-4o-mini", (512, 512), "high", 2833 + 5667),
    ("gpt-4.1-mini", (1024, 1024), "high", 1659),
    ("gpt-4.1-mini", (1800, 2400), "high", 2353),
])  # fmt: skip
async def test_pictures_cost_what_is_published(model: str, size: tuple[int, int], detail: str, tokens: int) -> None:
    """The examples of OpenAI's own page: 765, 1105 and 85 tokens; 1024 and 1452 patches times 1.62."""
    assert image_tokens(model, {"url": png(*size), "detail": detail}) == tokens


async def test_calls_side_by_side_are_kept_apart(faithful: FaithfulUpstream, client: openai.AsyncOpenAI) -> None:
    """Every call has its own answer and its own line on the invoice."""
    replies = await asyncio.gather(*(client.chat.completions.create(**asked(f"number {n}")) for n in range(20)))
    assert [reply.choices[0].message.content for reply in replies] == [f"You said: number {n}" for n in range(20)]
    assert len(faithful.calls) == 20
    assert all(call.billed for call in faithful.calls)
