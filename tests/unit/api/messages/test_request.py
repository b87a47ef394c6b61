"""Anthropic's body becomes OpenAI's, and what cannot is refused by its own path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitoolai.api.chat_request import OPENAI, chat_request
from minitoolai.api.messages.request import Asked, count_asked, message_asked
from minitoolai.core.errors import InvalidValue
from tests.support.faithful_values import png

HELLO = {"role": "user", "content": "Hello"}
WEATHER = {"name": "weather", "description": "At a place.", "input_schema": {"type": "object", "properties": {}}}
DATA = png(8, 8).partition(",")[2]
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}


def asked(**fields: Any) -> Asked:
    """What a body asks, by default the shortest."""
    return message_asked({"model": "m", "max_tokens": 5, "messages": [HELLO], **fields})


def messages(*taken: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The chat messages for Anthropic's; they are OpenAI's by our own schema."""
    found = asked(messages=list(taken), **fields)
    chat_request(json.loads(json.dumps(found.chat)), 1, OPENAI)
    chat: list[dict[str, Any]] = found.chat["messages"]
    return chat


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    """A user's message of blocks."""
    return {"role": "user", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    """A block, which in OpenAI's chat is a part of the same form."""
    return {"type": "text", "text": words}


class TestMessages:
    """Who said what."""

    def test_text(self) -> None:
        """Strings stay strings, a single block becomes one, several stay parts; a `cache_control` changes nothing."""
        cached = {**text("Two"), "cache_control": {"type": "ephemeral"}}
        assert messages(HELLO, {"role": "assistant", "content": "Hi"}, user(cached), user(text("a"), cached)) == [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "Two"},
            {"role": "user", "content": [text("a"), text("Two")]},
        ]

    @pytest.mark.parametrize("system", ["Be brief.", [text("Be brief.")]])
    def test_a_system_text_comes_first(self, system: object) -> None:
        """OpenAI has it among the messages; so may Anthropic's callers, in the middle."""
        later = {"role": "system", "content": [text("Now be long.")]}
        assert messages(HELLO, later, system=system) == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "system", "content": "Now be long."},
        ]

    def test_pictures(self) -> None:
        """Base64 becomes a data: URL, a URL stays one."""
        there = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
        (message,) = messages(user(text("Look"), PICTURE, there))
        assert message["content"] == [
            text("Look"),
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        ]

    def test_calls_of_tools_and_their_answers(self) -> None:
        """Reasoning is dropped; answers come right after their calls; what the user adds comes after them."""
        calls = {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                text("I look."),
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"at": "Ełk"}},
                {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
            ],
        }
        answers = user(
            text("So?"),
            {"type": "tool_result", "tool_use_id": "t1", "content": "7 degrees"},
            {"type": "tool_result", "tool_use_id": "t2", "content": [text("no such place"), PICTURE], "is_error": True},
        )
        assert messages(HELLO, calls, answers)[1:] == [
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"at":"Ełk"}'}},
                    {"id": "t2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "content": "7 degrees", "tool_call_id": "t1"},
            {"role": "tool", "content": [text("Error:"), text("no such place")], "tool_call_id": "t2"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}, text("So?")],
            },
        ]

    def test_messages_with_nothing_to_tell(self) -> None:
        """An answer of reasoning only, an empty list, a tool that said nothing."""
        thought = {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""}]}
        silent = user({"type": "tool_result", "tool_use_id": "t1"})
        assert messages(user(), thought, silent) == [
            {"role": "user", "content": ""},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "", "tool_call_id": "t1"},
        ]

    def test_where_each_came_from(self) -> None:
        """Paths of the chat body lead back to the caller's."""
        answer = {"type": "tool_result", "tool_use_id": "t1", "content": [text("seen"), PICTURE]}
        places = asked(system="Brief.", messages=[HELLO, user(answer, PICTURE)], tools=[WEATHER]).places
        assert places == {
            "tools[0]": "tools[0]",
            "messages[0]": "system",
            "messages[0].content[0]": "system",
            "messages[1]": "messages[0]",
            "messages[1].content[0]": "messages[0].content",
            "messages[2]": "messages[1].content[0]",
            "messages[2].content[0]": "messages[1].content[0].content[0]",
            "messages[3]": "messages[1]",
            "messages[3].content[0]": "messages[1].content[0].content[1]",
            "messages[3].content[1]": "messages[1].content[1]",
        }


class TestOptions:
    """All that is no message."""

    def test_what_has_an_equivalent(self) -> None:
        """Each under OpenAI's name."""
        chat = asked(
            temperature=0.5, top_p=0.9, stop_sequences=["END"], metadata={"user_id": "u1"}, stream=True,
            service_tier="standard_only",
        ).chat  # fmt: skip
        assert chat == {
            "model": "m", "messages": [HELLO], "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["END"],
            "user": "u1", "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip

    def test_a_long_user_id_is_hashed(self) -> None:
        """OpenAI takes 64 characters; the same user stays the same."""
        one, same, other = (asked(metadata={"user_id": c * 150}).chat["user"] for c in "aab")
        assert one == same != other
        assert len(one) == 64

    def test_what_has_none_is_named(self) -> None:
        """Dropped, and told to the caller."""
        found = asked(top_k=5, container="c", mcp_servers=[], thinking={"type": "adaptive"}, n=3)
        assert found.ignored == "container, mcp_servers, n, top_k"
        assert found.chat.keys() & {"top_k", "container", "n"} == set()

    @pytest.mark.parametrize(
        ("thinking", "shown"),
        [
            (None, False),
            ({"type": "disabled"}, False),
            ({"type": "enabled", "budget_tokens": 1024}, True),
            ({"type": "adaptive", "display": "summarized"}, True),
            ({"type": "adaptive", "display": "omitted"}, False),
        ],
    )
    def test_reasoning_is_shown_to_those_who_ask(self, thinking: object, shown: bool) -> None:
        """And to nobody else, whose first block is the answer."""
        assert asked(thinking=thinking).shows_thinking is shown

    @pytest.mark.parametrize(("effort", "told"), [("low", "low"), ("high", "high"), ("xhigh", "high"), ("max", "high")])
    def test_an_effort(self, effort: str, told: str) -> None:
        """OpenAI's efforts end at high."""
        assert asked(output_config={"effort": effort}).chat["reasoning_effort"] == told

    def test_a_schema_of_the_answer(self) -> None:
        """Held to strictly, as Anthropic does."""
        schema = {"type": "object"}
        found = asked(output_config={"format": {"type": "json_schema", "schema": schema}}).chat["response_format"]
        assert found == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}

    def test_tools(self) -> None:
        """As functions."""
        strict = {"name": "b", "input_schema": {}, "type": "custom", "strict": True, "cache_control": {}}
        found = asked(tools=[WEATHER, strict]).chat
        schema = WEATHER["input_schema"]
        assert found["tools"] == [
            {"type": "function", "function": {"name": "weather", "parameters": schema, "description": "At a place."}},
            {"type": "function", "function": {"name": "b", "parameters": {}, "strict": True}},
        ]
        assert found.keys() & {"tool_choice", "parallel_tool_calls"} == set()

    @pytest.mark.parametrize(
        ("choice", "told"),
        [
            ({"type": "auto"}, "auto"),
            ({"type": "any"}, "required"),
            ({"type": "none"}, "none"),
            ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
        ],
    )
    def test_the_choice_among_tools(self, choice: dict[str, Any], told: object) -> None:
        """And whether several may be called at once."""
        found = asked(tools=[WEATHER], tool_choice={**choice, "disable_parallel_tool_use": True}).chat
        assert (found["tool_choice"], found["parallel_tool_calls"]) == (told, False)

    def test_a_choice_without_tools(self) -> None:
        """Nothing to choose: OpenAI refuses even `auto`, so it is left out."""
        assert "tool_choice" not in asked(tool_choice={"type": "auto"}, tools=[]).chat

    def test_counting_needs_no_limit(self) -> None:
        """The same prompt, and nothing that only an answer has."""
        found = count_asked({"model": "m", "messages": [HELLO], "system": "Brief.", "tools": [WEATHER]}).chat
        assert found.keys() == {"model", "messages", "tools"}
        whole = asked(system="Brief.", tools=[WEATHER]).chat
        assert found == {name: whole[name] for name in found}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"max_tokens": None}, "max_tokens", "int"),
    ({"max_tokens": 0}, "max_tokens", ">= 1"),
    ({"temperature": 1.5}, "temperature", "<= 1.0"),
    ({"messages": []}, "messages", "length >= 1"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "tool_result blocks"),
    ({"messages": [HELLO, user({"type": "document"})]}, "messages[1].content[0].type", "'document'"),
    ({"messages": [user({"type": "tool_use"})]}, "messages[0].content[0].type", "an assistant's takes text, tool_use"),
    ({"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
     "messages[0].content[0].source.type", "as base64"),
    ({"messages": [user({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "search_result"}]})]},
     "messages[0].content[0].content[0].type", "text and image blocks"),
    ({"messages": [{"role": "assistant", "content": [PICTURE]}]}, "messages[0].content[0].type", "'image'"),
    ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": "x"}]}]},
     "messages[0].content[0].input", "object"),
    ({"system": [PICTURE]}, "system[0].type", "text blocks"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type", "No tool runs on this server"),
    ({"tools": [{"name": "x"}]}, "tools[0].input_schema", "missing"),
    ({"tools": [WEATHER] * 10_001}, "tools", "length <= 10000"),
    ({"messages": [user(*[{"type": "tool_result", "tool_use_id": "t"}] * 10_001)]}, "messages[0].content[10000]", "answers"),
    ({"tool_choice": {"type": "any"}}, "tool_choice", "no tool to choose"),
    ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.name", "missing"),
    ({"thinking": {"type": "deep"}}, "thinking.type", "'deep'"),
    ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type", "json_schema"),
    ({"thread": {"type": "create"}}, "thread", "Send all its messages"),
    ({"service_tier": "priority"}, "service_tier", "'priority'"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param", "words"), REFUSED, ids=[case[1] for case in REFUSED])
def test_what_is_refused(fields: dict[str, Any], param: str, words: str) -> None:
    """By the path in the caller's own body, with what to send instead."""
    with pytest.raises(InvalidValue) as refused:
        asked(**fields)
    assert refused.value.param == param
    assert words in refused.value.message
