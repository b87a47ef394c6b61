"""Chat completions are told as Anthropic's messages, whole."""

from __future__ import annotations

from typing import Any

import pytest

from minitoolai.api.messages.reply import MessageShape, tool_input
from tests.unit.api.completions import HEAD, SHOWN_USAGE, USAGE, call, shape


def whole(
    message: dict[str, Any], finish_reason: str | None = "stop", *, of: MessageShape | None = None, **choice: Any
) -> Any:
    """The message for a completion."""
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason, **choice}]
    return (of or shape()).whole({**HEAD, "object": "chat.completion", "choices": choices, "usage": USAGE})


class TestWhole:
    """A message in one piece."""

    def test_text(self) -> None:
        """All that Anthropic's message has, and the cost."""
        assert whole({"role": "assistant", "content": "Hi"}) == {
            "id": "msg_abc", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": SHOWN_USAGE,
        }  # fmt: skip

    def test_text_and_tools(self) -> None:
        """The text first; OpenAI says `stop` where the tool was chosen by the caller, Anthropic never."""
        found = whole({"content": "I look.", "tool_calls": [call('{"at": "Ełk"}'), call("", 1)]}, "stop")
        assert found["content"] == [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "call_0", "name": "weather", "input": {"at": "Ełk"}},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}},
        ]
        assert found["stop_reason"] == "tool_use"

    def test_nothing(self) -> None:
        """No content, no blocks; no choice either."""
        assert whole({"content": None})["content"] == []
        assert whole({"content": ""})["content"] == []
        for choices in ([], ["x"], None):
            assert shape().whole({**HEAD, "choices": choices, "usage": USAGE})["stop_reason"] == "end_turn"

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    def test_reasoning(self, field: str) -> None:
        """Shown to those who asked for it."""
        message = {"content": "7", field: "Hm."}
        assert [block["type"] for block in whole(message)["content"]] == ["text"]
        shown = whole(message, of=shape(thinking=True))["content"]
        assert shown == [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "7"}]

    @pytest.mark.parametrize(
        ("finish_reason", "message", "stop_reason"),
        [
            ("length", {"content": "a"}, "max_tokens"),
            ("length", {"tool_calls": [call("{")]}, "max_tokens"),
            ("tool_calls", {"tool_calls": [call("{}")]}, "tool_use"),
            ("content_filter", {"content": "a"}, "refusal"),
            ("stop", {"refusal": "I will not."}, "refusal"),
            (None, {"content": "a"}, "end_turn"),
        ],
    )
    def test_why_it_stopped(self, finish_reason: str | None, message: dict[str, Any], stop_reason: str) -> None:
        """OpenAI's reasons in Anthropic's words."""
        found = whole(message, finish_reason)
        assert (found["stop_reason"], found["stop_sequence"]) == (stop_reason, None)

    def test_a_refusal_is_told(self) -> None:
        """As text."""
        assert whole({"content": None, "refusal": "I will not."})["content"] == [{"type": "text", "text": "I will not."}]

    def test_a_stop_sequence_where_the_engine_tells_it(self) -> None:
        """Only one of the caller's own."""
        of = shape(stop_sequences=("END",))
        found = whole({"content": "a"}, of=of, stop_reason="END")
        assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")
        assert whole({"content": "a"}, of=of, stop_reason="eos")["stop_reason"] == "end_turn"
        assert whole({"content": "a"}, of=of, stop_reason=128001)["stop_reason"] == "end_turn"

    def test_an_engine_that_names_nothing(self) -> None:
        """Replies and calls get an id."""
        said = {"tool_calls": [{"function": {"name": "f", "arguments": None}}, "?", {}]}
        found = shape().whole({"choices": [{"message": said}]})
        assert (found["id"], found["model"]) == ("msg_spare", "asked")
        assert found["content"] == [{"type": "tool_use", "id": "toolu_spare_0", "name": "f", "input": {}}]
        assert found["usage"]["input_tokens"] == 0


@pytest.mark.parametrize(
    ("arguments", "found"),
    [("{}", {}), (" ", {}), ('{"a": 1}', {"a": 1}), ('{"a', {"INVALID_JSON": '{"a'}), ("[1]", {"INVALID_JSON": "[1]"})],
)
def test_the_input_of_a_tool(arguments: str, found: object) -> None:
    """It is an object, whatever the model wrote."""
    assert tool_input(arguments) == found
