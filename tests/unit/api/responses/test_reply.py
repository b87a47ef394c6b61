"""Chat replies as responses: every order of events, however a reply is cut into chunks."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from minitoolai.api.responses.reply import ResponseShape
from minitoolai.api.responses.request import asked_response

CALL = UUID("0192f0c1-2345-7000-8000-0123456789ab")
HEAD = {"id": "chatcmpl-1", "created": 1740734359, "model": "gpt-4o-mini-2024-07-18", "service_tier": "default"}
USAGE = {"prompt_tokens": 17, "completion_tokens": 9, "total_tokens": 26, "cost": 0.00000795,
         "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 4}}  # fmt: skip
ERROR = {"message": "Too long for 'max_completion_tokens'.", "type": "server_error", "code": "upstream_error",
         "param": "max_completion_tokens"}  # fmt: skip
LOGPROB = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
_published: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def shape(**fields: object) -> ResponseShape:
    """The shape of a call."""
    return ResponseShape(asked_response({"model": "gpt-4o-mini", "input": "Hi", **fields}), CALL, 1740000000)


def chunk(delta: dict[str, Any], finish: str | None = None, **choice: object) -> dict[str, Any]:
    """A chunk with one choice."""
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **choice}], "usage": None}


def call(index: int | None, name: str = "", arguments: str = "", call_id: str = "") -> dict[str, Any]:
    """A delta with a part of a call."""
    part: dict[str, Any] = {"function": {**({"name": name} if name else {}), "arguments": arguments}}
    if index is not None:
        part["index"] = index
    if call_id:
        part |= {"id": call_id, "type": "function"}
    return {"tool_calls": [part]}


def parsed(frames: bytes) -> list[dict[str, Any]]:
    """The events in frames, each under its own name."""
    events = []
    for frame in frames.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def streamed(*chunks: dict[str, Any], **fields: object) -> list[dict[str, Any]]:
    """The events of a complete stream: numbered from 0, each as published."""
    events = shape(**fields).events()
    frames = b"".join(events.chunk(each) for each in [*chunks, {**HEAD, "choices": [], "usage": USAGE}]) + events.done()
    found = parsed(frames)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    for event in found:
        _published.validate_python(event)
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    assert all(event["response"]["status"] == "in_progress" for event in found[:2])
    return found


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types between the beginning and the end, without what all have in common."""
    return [event["type"].removeprefix("response.") for event in events[2:-1]]


def whole(message: dict[str, Any], finish: str = "stop", **choice: object) -> dict[str, Any]:
    """The response of a whole chat reply, as published."""
    choices = [{"index": 0, "message": message, "finish_reason": finish, **choice}]
    found = shape().whole({**HEAD, "object": "chat.completion", "choices": choices, "usage": USAGE})
    Response.model_validate(found)
    return found


TEXT = ["output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done"]  # fmt: skip


def test_text() -> None:
    """An item, its part, the deltas, and each one's end with all of it."""
    events = streamed(chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"}), chunk({"content": "!"}, "stop"))
    assert kinds(events) == TEXT
    assert [event["delta"] for event in events if event["type"].endswith("delta")] == ["Hi", "!"]
    done = events[-1]
    assert done["type"] == "response.completed"
    (item,) = done["response"]["output"]
    assert item["content"] == [{"type": "output_text", "text": "Hi!", "annotations": [], "logprobs": []}]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["id"].startswith("msg_")
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}
    assert events[2]["item"] == {**item, "status": "in_progress", "content": []}


def test_the_response_repeats_its_request_and_tells_usage_and_cost() -> None:
    """The fields that clients read beside the output."""
    tool = {"type": "function", "name": "f", "parameters": None, "strict": None}
    fields: dict[str, Any] = {
        "instructions": "Be brief.", "max_output_tokens": 50, "metadata": {"a": "b"}, "temperature": 0.5, "tools": [tool],
        "tool_choice": "required", "text": {"verbosity": "low"}, "reasoning": {"effort": "low"}, "user": "u",
        "parallel_tool_calls": False,
    }  # fmt: skip
    response = streamed(chunk({"content": "Hi"}, "stop"), **fields)[-1]["response"]
    for name, value in fields.items():
        given = response[name]
        assert given == value or (isinstance(value, dict) and value.items() <= given.items()), name
    assert response["id"].startswith("resp_")
    assert (response["object"], response["created_at"], response["model"]) == ("response", HEAD["created"], HEAD["model"])
    assert (response["store"], response["top_p"], response["truncation"]) == (False, 1.0, "disabled")
    assert response["text"]["format"] == {"type": "text"}
    assert response["usage"] == {
        "input_tokens": 17, "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0}, "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 26, "cost": 0.00000795,
    }  # fmt: skip


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_then_text(field: str) -> None:
    """The reasoning is an item of its own, which ends where the message begins."""
    events = streamed(chunk({field: "Hm"}), chunk({field: "m"}), chunk({"content": "Hi"}), chunk({"content": "!"}, "stop"))
    reasoning = [kind.replace("output_text", "reasoning_text") for kind in TEXT]
    assert kinds(events) == [*reasoning, *TEXT]
    first, second = events[-1]["response"]["output"]
    assert (first["type"], first["summary"]) == ("reasoning", [])
    assert first["content"] == [{"type": "reasoning_text", "text": "Hmm"}]
    assert second["content"][0]["text"] == "Hi!"
    assert [event["output_index"] for event in events if "output_index" in event] == [0] * 7 + [1] * 7


def test_a_refusal() -> None:
    """A refusal after some text is the message's second part."""
    events = streamed(chunk({"content": "Hi"}), chunk({"refusal": "I can"}), chunk({"refusal": "not."}, "stop"))
    assert kinds(events) == [
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "content_part.added", "refusal.delta", "refusal.delta", "refusal.done", "content_part.done", "output_item.done",
    ]  # fmt: skip
    (item,) = events[-1]["response"]["output"]
    assert item["content"][1] == {"type": "refusal", "refusal": "I cannot."}
    assert [event["content_index"] for event in events if "content_index" in event] == [0] * 4 + [1] * 5


CALL_ITEM = ["output_item.added", "function_call_arguments.delta"]
CALL_END = ["function_call_arguments.done", "output_item.done"]


def test_calls_in_parallel() -> None:
    """Deltas of two calls may come in turns; text before them is closed, and each call has its own item."""
    events = streamed(
        chunk({"content": "Looking"}),
        chunk(call(0, "weather", "", "call_a")),
        chunk(call(0, arguments='{"a"')),
        chunk(call(1, "time", "{}", "call_b")),
        chunk(call(0, arguments=": 1}")),
        chunk({}, "tool_calls"),
    )
    assert kinds(events) == [
        *(kind for place, kind in enumerate(TEXT) if place != 3), *CALL_ITEM, *CALL_ITEM, CALL_ITEM[1], *CALL_END, *CALL_END,
    ]  # fmt: skip
    _, first, second = events[-1]["response"]["output"]
    assert (first["call_id"], first["name"], first["arguments"]) == ("call_a", "weather", '{"a": 1}')
    assert (second["call_id"], second["name"], second["arguments"]) == ("call_b", "time", "{}")
    assert first["id"].startswith("fc_")
    assert first["id"] != second["id"]
    assert events[-1]["type"] == "response.completed"


def test_calls_without_index_or_id() -> None:
    """Engines leave them out, or give one to all: a name begins a call, and each gets an id that no other has."""
    events = streamed(chunk(call(None, "a", "{")), chunk(call(None, arguments="}")), chunk(call(None, "b", "{}")))
    found = events[-1]["response"]["output"]
    assert [(item["name"], item["arguments"]) for item in found] == [("a", "{}"), ("b", "{}")]
    assert len({item["call_id"] for item in found if item["call_id"].startswith("call_")}) == 2
    same = streamed(chunk(call(0, "a", "", "x")), chunk(call(0, "b", "{}", "y")))[-1]["response"]["output"]
    assert [item["name"] for item in same] == ["a", "b"]


def test_text_after_a_call_is_a_message_of_its_own() -> None:
    """Items stand in the order in which they began."""
    events = streamed(chunk(call(0, "a", "{}", "c")), chunk({"content": "Hi"}, "stop"))
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["function_call", "message"]


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_a_cut_answer_is_incomplete(finish: str, reason: str) -> None:
    """The last event, the response and its last item say so; what was whole before stays completed."""
    events = streamed(chunk({"reasoning": "Hm"}), chunk({"content": "Hi"}, finish))
    last = events[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in last["response"]["output"]] == ["completed", "incomplete"]
    assert last["response"]["usage"]["output_tokens"] == 9


def test_a_call_cut_by_its_limit_is_incomplete() -> None:
    """Half the arguments of a call are not passed off as whole."""
    events = streamed(chunk(call(0, "a", "{}", "c")), chunk(call(1, "b", '{"x', "d")), chunk({}, "length"))
    assert [item["status"] for item in events[-1]["response"]["output"]] == ["completed", "incomplete"]


def test_an_answer_of_nothing() -> None:
    """It is an empty message, and none where even that was cut."""
    assert kinds(streamed(chunk({"content": ""}), chunk({}, "stop"))) == [kind for kind in TEXT if "delta" not in kind]
    assert whole({"content": ""})["output"][0]["content"][0]["text"] == ""
    assert whole({"content": None}, "length")["output"] == []


def test_logprobs() -> None:
    """They stand with their delta, and all of them with the part."""
    asked = {"include": ["message.output_text.logprobs"]}
    events = streamed(chunk({"content": "Hi"}, "stop", logprobs={"content": [LOGPROB]}), **asked)
    assert [event["logprobs"] for event in events if "logprobs" in event] == [[LOGPROB]] * 2
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == [LOGPROB]


def test_a_stream_that_fails() -> None:
    """`response.failed` is the last event: our error in this API's words, and what had come."""
    events = shape().events()
    events.chunk(chunk({"content": "Hi"}))
    events.chunk(chunk(call(0, "a", '{"x', "c")))
    (failed,) = parsed(events.error(ERROR))
    response = failed["response"]
    assert (failed["type"], response["status"]) == ("response.failed", "failed")
    assert response["error"] == {"code": "upstream_error", "message": "Too long for 'max_output_tokens'."}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["output"][1]["arguments"] == '{"x'
    assert response["usage"] is None


def test_a_stream_that_fails_before_its_first_chunk() -> None:
    """Comments may have gone out already: the response is created only to fail, under the call's own id."""
    found = parsed(shape().events().error(ERROR))
    assert [event["type"] for event in found] == ["response.created", "response.in_progress", "response.failed"]
    assert found[2]["response"]["id"] == f"resp_{CALL.hex}"
    assert found[2]["response"]["output"] == []
    assert found[2]["response"]["created_at"] == 1740000000


def test_a_reply_given_again_has_the_same_ids() -> None:
    """They are made from the chat reply's, which is kept."""
    message = {"role": "assistant", "content": "Hi"}
    assert whole(message) == whole(message) == streamed(chunk(message, "stop"))[-1]["response"]


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None}, {"choices": [1]}, {"choices": [{"delta": "x", "finish_reason": 7}]}, {"usage": 5, "choices": []},
        {"choices": [{"delta": {"content": 5, "tool_calls": 5}}]}, {"choices": [{"delta": {"tool_calls": [5, {}]}}]},
        {"choices": [{"delta": {}, "logprobs": {"content": 5}}]}, {"id": 5, "created": "x", "model": 5, "choices": []},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_odd_chunks_are_passed_over(odd: dict[str, Any]) -> None:
    """What does not have OpenAI's shape neither stops a stream nor breaks its own shape."""
    assert streamed({**HEAD, **odd}, chunk({"content": "Hi"}, "stop"))[-1]["type"] == "response.completed"


TEXTS = st.text(max_size=12)
CALLS = st.lists(st.tuples(st.text(min_size=1, max_size=5), TEXTS), max_size=3)


@given(reasoning=TEXTS, content=TEXTS, refusal=TEXTS, calls=CALLS, cuts=st.data())
def test_however_it_is_cut_the_response_is_the_same(
    reasoning: str, content: str, refusal: str, calls: list[tuple[str, str]], cuts: st.DataObject
) -> None:
    """A stream's last event holds what a whole reply of the same message is, and its deltas add up to it."""
    deltas: list[dict[str, Any]] = []
    for name, text in (("reasoning_content", reasoning), ("content", content), ("refusal", refusal)):
        deltas += [{name: piece} for piece in cut(text, cuts)]
    tool_calls = []
    for index, (name, arguments) in enumerate(calls):
        tool_calls.append({"id": f"c{index}", "type": "function", "function": {"name": name, "arguments": arguments}})
        deltas.append(call(index, name, "", f"c{index}"))
        deltas += [call(index, arguments=piece) for piece in cut(arguments, cuts)]
    events = streamed(*map(chunk, deltas), chunk({}, "stop"))
    message = {"reasoning_content": reasoning, "content": content, "refusal": refusal, "tool_calls": tool_calls}
    assert events[-1]["response"] == whole(message)
    for item in events[-1]["response"]["output"]:
        told = "".join(event["delta"] for event in events if "delta" in event and event["item_id"] == item["id"])
        parts = item.get("content", ())
        assert told == item.get("arguments", "") + "".join(part.get("text", part.get("refusal")) for part in parts)


def cut(text: str, cuts: st.DataObject) -> list[str]:
    """Return `text` in pieces."""
    pieces, rest = [], text
    while rest:
        size = cuts.draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces
