"""Chat completions are told as the events of Anthropic's streams."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minitoolai.api.messages.reply import MessageEvents, MessageShape, tool_input
from tests.unit.api.completions import HEAD, SHOWN_USAGE, USAGE, call, shape


def chunk(delta: object, finish_reason: str | None = None, **choice: Any) -> dict[str, Any]:
    """One chunk."""
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, **choice}]}


def part(index: int, arguments: str, *, new: bool = False) -> dict[str, Any]:
    """The delta with a part of a call."""
    function: dict[str, Any] = {"arguments": arguments}
    head: dict[str, Any] = {}
    if new:
        function["name"], head = "weather", {"id": f"call_{index}", "type": "function"}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def read(raw: bytes) -> list[dict[str, Any]]:
    """The events in bytes, each under its own name."""
    events = []
    for frame in raw.decode().removesuffix("\n\n").split("\n\n"):
        name, _, data = frame.partition("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def told(*chunks: dict[str, Any], of: MessageShape | None = None) -> list[dict[str, Any]]:
    """All events of a stream that ended well."""
    events = MessageEvents(of or shape())
    out = [events.chunk(one) for one in chunks]
    out += [events.chunk({**HEAD, "choices": [], "usage": USAGE}), events.done()]
    return read(b"".join(out))


def gathered(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client puts together; blocks must open and close in their order."""
    assert [events[0]["type"], events[1]["type"], events[-1]["type"]] == ["message_start", "ping", "message_stop"]
    message: dict[str, Any] = events[0]["message"]
    inputs: dict[int, str] = {}
    is_open = None
    for event in events[2:-1]:
        content, delta = message["content"], event.get("delta", {})
        match event["type"]:
            case "content_block_start":
                assert (is_open, event["index"]) == (None, len(content))
                is_open = event["index"]
                content.append(event["content_block"])
            case "content_block_stop":
                assert event["index"] == is_open
                is_open = None
            case "content_block_delta" if delta["type"] == "input_json_delta":
                inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
            case "content_block_delta":
                field = {"text_delta": "text", "thinking_delta": "thinking"}[delta["type"]]
                content[event["index"]][field] += delta[field]
            case "message_delta":
                assert is_open is None
                message = {**message, **delta, "usage": event["usage"]}
    for index, arguments in inputs.items():
        message["content"][index]["input"] = tool_input(arguments)
    return message


class TestEvents:
    """A message as it comes."""

    def test_text(self) -> None:
        """Every event of a plain answer, as published."""
        events = told(
            chunk({"role": "assistant", "content": ""}), chunk({"content": "He"}), chunk({"content": "y"}), chunk({}, "stop")
        )
        started = {**SHOWN_USAGE, "input_tokens": 25, "output_tokens": 0, "cache_read_input_tokens": 0}
        started["output_tokens_details"] = {"thinking_tokens": 0}
        del started["cost"]
        assert events == [
            {"type": "message_start", "message": {
                "id": "msg_abc", "type": "message", "role": "assistant", "model": "m", "content": [],
                "stop_reason": None, "stop_sequence": None, "usage": started}},
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "He"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "y"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": SHOWN_USAGE},
            {"type": "message_stop"},
        ]  # fmt: skip

    def test_reasoning_text_and_parallel_calls(self) -> None:
        """One block after the other."""
        message = gathered(
            told(
                chunk({"reasoning_content": "H"}), chunk({"reasoning_content": "m."}), chunk({"content": "I look."}),
                chunk(part(0, "", new=True)), chunk(part(0, '{"at"')), chunk(part(0, ': "Ełk"}')),
                chunk(part(1, "{", new=True)), chunk(part(1, "}")), chunk({}, "tool_calls"), of=shape(thinking=True),
            )
        )  # fmt: skip
        assert message["content"] == [
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "call_0", "name": "weather", "input": {"at": "Ełk"}},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}},
        ]
        assert message["stop_reason"] == "tool_use"

    def test_calls_that_come_whole_under_one_index(self) -> None:
        """Some engines do so: another id and name are another call."""
        delta = {"tool_calls": [call('{"a":1}', 0, index=0), call('{"a":2}', 1, index=0)]}
        message = gathered(told(chunk(delta, "tool_calls")))
        assert [block["input"] for block in message["content"]] == [{"a": 1}, {"a": 2}]

    def test_calls_that_are_mixed(self) -> None:
        """Nothing of them is lost."""
        chunks = [part(0, '{"a"', new=True), part(1, '{"b"', new=True), part(0, ":1}"), part(1, ":2}")]
        message = gathered(told(*(chunk(one) for one in chunks)))
        assert [block["input"] for block in message["content"]] == [{"a": 1}, {"b": 2}]

    def test_nothing(self) -> None:
        """An empty answer has no blocks."""
        message = gathered(told(chunk({"role": "assistant"}), {"choices": 5}, chunk(None, "stop")))
        assert (message["content"], message["stop_reason"]) == ([], "end_turn")

    def test_a_cut_answer(self) -> None:
        """The limit is told, with what was written up to it."""
        message = gathered(told(chunk({"content": "one"}), chunk({}, "length")))
        assert (message["content"][0]["text"], message["stop_reason"]) == ("one", "max_tokens")

    def test_a_failure(self) -> None:
        """The error ends the stream: what is open is not closed, and the message does not stop."""
        events = MessageEvents(shape())
        events.chunk(chunk({"content": "one"}))
        error = {"message": "No.", "type": "server_error", "param": None, "code": "upstream_error"}
        assert read(events.error(error)) == [{"type": "error", "error": error}]


_words = st.text(min_size=1, max_size=3)
_moves = st.one_of(
    st.tuples(st.sampled_from(["content", "reasoning_content", "refusal"]), _words),
    st.tuples(st.integers(0, 2), _words),
)


@given(
    st.lists(_moves, max_size=12), st.booleans(), st.sampled_from([None, "stop", "length", "tool_calls", "content_filter"])
)
def test_a_stream_tells_what_came(moves: list[tuple[Any, str]], thinking: bool, finish_reason: str | None) -> None:
    """Whatever the order of an engine's deltas: every text arrives, in its order, in blocks that open and close."""
    chunks, known = [], set()
    for what, words in moves:
        if isinstance(what, int):
            chunks.append(chunk(part(what, words, new=what not in known)))
            known.add(what)
        else:
            chunks.append(chunk({what: words}))
    events = told(*chunks, chunk({}, finish_reason), of=shape(thinking=thinking))
    message = gathered(events)
    assert {block["id"] for block in message["content"] if block["type"] == "tool_use"} == {f"call_{n}" for n in known}
    got: dict[object, str] = {}
    for event in events:
        if event["type"] == "content_block_delta":
            block = message["content"][event["index"]]
            words = next(text for name, text in event["delta"].items() if name != "type")
            key = block.get("id", block["type"])
            got[key] = got.get(key, "") + words
    wanted: dict[object, str] = {}
    for what, words in moves:
        key = f"call_{what}" if isinstance(what, int) else "thinking" if what == "reasoning_content" else "text"
        if key != "thinking" or thinking:
            wanted[key] = wanted.get(key, "") + words
    assert got == wanted
