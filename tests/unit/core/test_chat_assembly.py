"""Streams become whole replies, and whole replies streams, with nothing lost either way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from minitoolai.core.chat_assembly import as_stream, assemble
from minitoolai.core.sse import DONE, KEEP_ALIVE, event, frame_data

TEXT = st.text(min_size=1, max_size=12)
CALLED = st.fixed_dictionaries({"name": TEXT, "arguments": st.text(max_size=12)})
TOOL_CALL = st.fixed_dictionaries({"id": TEXT, "type": st.just("function"), "function": CALLED})
TOKEN = st.fixed_dictionaries({"token": TEXT, "logprob": st.integers(-9, 0), "top_logprobs": st.just([])})
LOGPROBS = st.fixed_dictionaries({"content": st.lists(TOKEN, min_size=1, max_size=3), "refusal": st.none()})
#: A message says something, refuses, or calls; an empty one is the empty text.
SAID = st.one_of(
    st.fixed_dictionaries({"content": st.text(max_size=12), "refusal": st.none()}),
    st.fixed_dictionaries({"content": st.none(), "refusal": TEXT}),
    st.fixed_dictionaries(
        {"content": st.none(), "refusal": st.none(), "tool_calls": st.lists(TOOL_CALL, min_size=1, max_size=3)}
    ),
    st.fixed_dictionaries({"content": st.none(), "refusal": st.none(), "function_call": CALLED}),
)
CITATION = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "u"}}
MORE = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": TEXT,
        "reasoning": TEXT,
        "annotations": st.lists(st.just(CITATION), max_size=2),
        "provider": TEXT,
    },
)
MESSAGE = st.builds(lambda said, more: {"role": "assistant", **said, **more}, SAID, MORE)
CHOICE = st.fixed_dictionaries(
    {
        "message": MESSAGE,
        "logprobs": st.none() | LOGPROBS,
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls", None]),
    }
)
HEAD = st.fixed_dictionaries(
    {"id": TEXT, "created": st.integers(0, 2**31), "model": TEXT},
    optional={"service_tier": st.none() | st.just("flex"), "system_fingerprint": st.none() | TEXT},
)


def _completion(head: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
    numbered = [{"index": index, **choice} for index, choice in enumerate(choices)]
    return {**head, "object": "chat.completion", "choices": numbered}


COMPLETION = st.builds(_completion, HEAD, st.lists(CHOICE, min_size=1, max_size=3))


def split(body: dict[str, Any], chance: random.Random) -> list[bytes]:
    """Return a reply as an engine may stream it: texts and lists in pieces, the choices' chunks shuffled into each other."""
    head = {name: value for name, value in body.items() if name != "choices"} | {"object": "chat.completion.chunk"}
    streams = [list(_parts(choice, chance)) for choice in body["choices"]]
    chunks = []
    while streams:
        stream = chance.choice(streams)
        chunks.append({**head, "choices": [stream.pop(0)]})
        streams = [left for left in streams if left]
    return [event(chunk) for chunk in chunks]


def _parts(choice: dict[str, Any], chance: random.Random) -> list[dict[str, Any]]:
    """One choice's deltas, in an order that keeps each field's own."""
    message = choice["message"]
    empty = {name: None for name in ("content", "refusal") if name in message}
    parts: list[dict[str, Any]] = [{"delta": {"role": "assistant", **empty}}]
    for name, value in message.items():
        if name == "tool_calls":
            parts += [{"delta": {"tool_calls": [part]}} for part in _tool_parts(value, chance)]
        elif name == "function_call":
            parts.append({"delta": {name: {"name": value["name"], "arguments": ""}}})
            parts += [{"delta": {name: {"arguments": text}}} for text in pieces(value["arguments"], chance)]
        elif name == "annotations":
            parts += [{"delta": {name: [each]}} for each in value] or [{"delta": {name: []}}]
        elif isinstance(value, str) and name not in ("role", "provider"):
            parts += [{"delta": {name: text}} for text in pieces(value, chance)]
        elif name == "provider":
            parts.append({"delta": {name: value}})
    if choice["logprobs"] is not None:
        tokens = choice["logprobs"]["content"]
        parts += [{"delta": {}, "logprobs": {"content": [token], "refusal": None}} for token in tokens]
    parts.append({"delta": {}, "finish_reason": choice["finish_reason"]})
    return [{"index": choice["index"], "logprobs": None, "finish_reason": None, **part} for part in parts]


def _tool_parts(calls: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """Parallel calls, their arguments' pieces in turns."""
    waiting = []
    for index, call in enumerate(calls):
        function = call["function"]
        begun = {"index": index, **call, "function": {"name": function["name"], "arguments": ""}}
        more = [{"index": index, "function": {"arguments": text}} for text in pieces(function["arguments"], chance)]
        waiting.append([begun, *more])
    parts = []
    while waiting:
        parts.append(chance.choice(waiting).pop(0))
        waiting = [left for left in waiting if left]
    return parts


def pieces(text: str, chance: random.Random) -> list[str]:
    """Cut a text anywhere, empty pieces among them."""
    cuts = sorted(chance.randint(0, len(text)) for _ in range(chance.randint(0, 3)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(body=COMPLETION, seed_fields=st.booleans())
def test_a_reply_given_again_as_a_stream_is_the_same(body: dict[str, Any], *, seed_fields: bool) -> None:
    """Whole to stream and back; the seed's fields are added and change nothing else."""
    frames = as_stream(body, seed_fields=seed_fields)
    assert len(frames) == 2 * len(body["choices"])
    found = assemble(frames)
    if seed_fields:
        body = {**body, "service_tier": body.get("service_tier") or "default",
                "system_fingerprint": body.get("system_fingerprint")}  # fmt: skip
    assert found == body


@given(COMPLETION, st.randoms(use_true_random=False))
def test_however_a_reply_is_cut_it_is_put_together_as_one(body: dict[str, Any], chance: random.Random) -> None:
    """Any pieces, any order of choices, several frames in one part, comments and the end among them."""
    frames = split(body, chance)
    frames.insert(chance.randint(0, len(frames)), KEEP_ALIVE)
    joined = [b"".join(frames[:1]), b"".join(frames[1:]), DONE]
    assert assemble(joined) == body


@given(COMPLETION)
def test_the_sdk_makes_the_same_message_of_it(body: dict[str, Any]) -> None:
    """What OpenAI's own helper accumulates is what was said."""
    state = ChatCompletionStreamState()
    for frame in as_stream(body, seed_fields=False):
        state.handle_chunk(ChatCompletionChunk.model_validate_json(frame_data(frame)))
    for said, choice in zip(body["choices"], state.current_completion_snapshot.choices, strict=True):
        shown = choice.message.to_dict()
        for call in shown.get("tool_calls") or ():  # type: ignore[attr-defined]
            call.pop("index")
            call["function"].pop("parsed_arguments", None)
        assert {name: shown.get(name) for name in said["message"]} == said["message"]
        assert choice.finish_reason == said["finish_reason"]


def _chunk(delta: object, **more: Any) -> bytes:
    return event({"id": "c", "choices": [{"index": 0, "delta": delta, **more}]})


def _message(*deltas: object) -> dict[str, Any]:
    found: dict[str, Any] = assemble([_chunk(delta) for delta in deltas])["choices"][0]["message"]
    return found


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([{}], {"content": ""}),
        ([{"role": "assistant", "content": None}], {"content": ""}),
        ([{"reasoning_content": "hm"}], {"content": "", "reasoning_content": "hm"}),
        ([{"audio": {"data": "AAAA"}, "content": "a"}], {"content": "a"}),
        # Without an index, as Gemini's: an id begins a call.
        (
            [{"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]},
             {"tool_calls": [{"function": {"arguments": "}"}}]},
             {"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "{}"}}]}],
            {"content": None, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        ),
        # One index for all of them.
        (
            [{"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]},
             {"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "}"}}]},
             {"tool_calls": [{"index": 0, "id": "b", "function": {"name": "g", "arguments": ""}}]},
             {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}],
            {"content": None, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        ),
        # A tool of another kind.
        (
            [{"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
             {"tool_calls": [{"index": 0, "custom": {"input": "y"}}]}],
            {"content": None, "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "xy"}}]},
        ),
        # What is not OpenAI's.
        ([None, [], "x", {"content": 5, "tool_calls": 3}, {"tool_calls": [7]}, {"content": "a"}], {"content": "a"}),
        ([{"function_call": "f", "content": "a"}], {"content": "a"}),
    ],
)  # fmt: skip
def test_what_engines_send_beside_the_rule(deltas: list[object], message: dict[str, Any]) -> None:
    """Nothing breaks, and what can be read is kept."""
    assert _message(*deltas) == {"role": "assistant", "refusal": None, **message}


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"data: [1]\n\n"],
        [b"data: {\n\n"],
        [b"data: \xff\n\n"],
        [b"data: " + b"[" * 100_000 + b"\n\n"],
        [event({"choices": None})],
        [event({"choices": ["x"]})],
    ],
)
def test_frames_that_tell_nothing(frames: list[bytes]) -> None:
    """A reply without choices."""
    assert assemble(frames) == {"id": None, "object": "chat.completion", "choices": []}


def test_the_head_is_the_last_that_was_told() -> None:
    """A fingerprint that comes later counts, a null later does not; frames without a space after the colon are read."""
    first: dict[str, Any] = {"id": "c", "model": "m", "system_fingerprint": None, "service_tier": "flex", "choices": []}
    second: dict[str, Any] = {
        "id": "c",
        "model": "m",
        "system_fingerprint": "fp",
        "service_tier": None,
        "choices": [],
        "usage": None,
    }
    found = assemble([event(first), b"data:" + json.dumps(second).encode() + b"\n\n"])
    assert found == {
        "id": "c", "object": "chat.completion", "model": "m", "system_fingerprint": "fp", "service_tier": "flex",
        "choices": [],
    }  # fmt: skip


def test_a_choice_without_an_index_is_the_first() -> None:
    """As some servers leave it out."""
    read: Callable[[bytes], Any] = lambda frame: assemble([frame])["choices"]  # noqa: E731
    assert read(event({"choices": [{"delta": {"content": "a"}}]}))[0]["index"] == 0
