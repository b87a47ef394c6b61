"""Responses bodies as chat bodies: what each field becomes, what is refused, and how errors find their way back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from minitoolai.api.chat_request import MAX_TOOLS, OPENAI, chat_request
from minitoolai.api.responses.request import Asked, asked_response
from minitoolai.core.errors import ApiError, CostCapExceeded, EngineRefusedRequest, InvalidValue

TOOL: dict[str, Any] = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
OTHER: dict[str, Any] = {"type": "function", "name": "time"}
USER: dict[str, Any] = {"role": "user", "content": "Hi"}
PICTURE = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": "{}", "status": "completed"}
FOUND = {"type": "function_call_output", "call_id": "c1", "output": "7"}


def asked(**fields: object) -> Asked:
    """A body's translation, which is a chat body."""
    found = asked_response(json.loads(json.dumps({"model": "gpt-4o-mini", "input": "Hi", **fields})))
    request, ignored = chat_request(found.chat, 100, OPENAI)
    assert not ignored
    assert request.include_usage is request.stream
    return found


def messages(*items: object, **fields: object) -> list[dict[str, Any]]:
    """The messages that items become."""
    found: list[dict[str, Any]] = asked(input=list(items), **fields).chat["messages"]
    return found


@pytest.mark.parametrize(
    ("fields", "chat"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 1, "user": "u"}, {"temperature": 0.5, "top_p": 1, "user": "u"}),
        ({"safety_identifier": "s", "prompt_cache_key": "p"}, {"safety_identifier": "s", "prompt_cache_key": "p"}),
        ({"max_output_tokens": 16.0, "service_tier": "flex"}, {"max_completion_tokens": 16, "service_tier": "flex"}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        ),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"metadata": {"a": "b"}, "truncation": "disabled", "background": False, "store": True}, {}),
        ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
    ],
    ids=json.dumps,
)
def test_fields(fields: dict[str, Any], chat: dict[str, Any]) -> None:
    """Each means the same in a chat body, under its name there; what means nothing there is not sent."""
    assert asked(**fields).chat == {"model": "gpt-4o-mini", "messages": [USER], **chat}


def test_tools() -> None:
    """Functions have a level more in a chat body; what the caller leaves open stays open."""
    chat = asked(tools=[TOOL, OTHER], tool_choice={"type": "function", "name": "time"}, parallel_tool_calls=False).chat
    function = {"name": "weather", "parameters": {"type": "object"}, "strict": True}
    assert chat["tools"] == [{"type": "function", "function": each} for each in (function, {"name": "time"})]
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "time"}}
    assert chat["parallel_tool_calls"] is False


def test_allowed_tools() -> None:
    """Only those are offered, in the mode that was asked; the response repeats all."""
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "time"}]}
    found = asked(tools=[TOOL, OTHER], tool_choice=choice)
    assert found.chat["tools"] == [{"type": "function", "function": {"name": "time"}}]
    assert found.chat["tool_choice"] == "required"
    assert (found.repeated["tools"], found.repeated["tool_choice"]) == ([TOOL, OTHER], choice)


def test_very_many_allowed_tools() -> None:
    """No body makes the server search a long list for each item of another."""
    tools = [{"type": "function", "name": f"f{number}"} for number in range(MAX_TOOLS)]
    began_s = time.process_time()
    found = asked(tools=tools, tool_choice={"type": "allowed_tools", "mode": "auto", "tools": tools})
    assert len(found.chat["tools"]) == MAX_TOOLS
    assert time.process_time() - began_s < 1


def test_messages() -> None:
    """Instructions come first; one text is a string, several parts are a list."""
    parts = [{"type": "input_text", "text": "Look"}, PICTURE]
    earlier = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
               "content": [{"type": "output_text", "text": "Yes", "annotations": []}]}  # fmt: skip
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}
    assert messages(USER, earlier, refused, {"role": "user", "content": parts}, instructions="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Yes"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            ],
        },
    ]


SAID = {"role": "assistant", "content": "Looking"}
TOLD = {"role": "tool", "tool_call_id": "c1", "content": "7"}


@pytest.mark.parametrize("items", [[SAID, CALL, FOUND], [CALL, SAID, FOUND]], ids=["said first", "called first"])
def test_what_an_assistant_says_and_calls_is_one_message(items: list[dict[str, Any]]) -> None:
    """Chat wants a call's result right after the message with the call; reasoning is dropped."""
    function = {"name": "weather", "arguments": "{}"}
    turn = {**SAID, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    assert messages(USER, thought, *items, USER) == [USER, turn, TOLD, USER]


def test_calls_in_parallel_and_in_turn() -> None:
    """Calls beside each other are one message; one after a result is another."""
    second, its = {**CALL, "call_id": "c2"}, {**FOUND, "call_id": "c2", "output": [{"type": "input_text", "text": "8"}]}
    together = messages(USER, CALL, second, FOUND, its)
    assert [message["role"] for message in together] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in together[1]["tool_calls"]] == ["c1", "c2"]
    assert together[3]["content"] == "8"
    in_turn = messages(USER, CALL, FOUND, second, its)
    assert [message["role"] for message in in_turn] == ["user", "assistant", "tool", "assistant", "tool"]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": None}, "input", ""),
        ({"input": []}, "input", ""),
        ({"input": [5]}, "input[0]", "object"),
        ({"input": [{"id": "msg_1"}]}, "input[0]", "the item itself"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]", "stores no items"),
        ({"input": [USER, {"type": "web_search_call"}]}, "input[1].type", "function_call"),
        ({"input": [{"content": "Hi"}]}, "input[0].role", "required"),
        ({"input": [{"role": "tool", "content": "Hi"}]}, "input[0].role", ""),
        ({"input": [{"role": "user"}]}, "input[0].content", "required"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text", "required"),
        ({"input": [{"role": "user", "content": [{"type": "text"}]}]}, "input[0].content[0].type", "input_text"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].type", "input_image"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].type", "input_text"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].image_url",
            "https or data",
        ),
        (
            {"input": [{"role": "user", "content": [{**PICTURE, "detail": "original"}]}]},
            "input[0].content[0].detail",
            "",
        ),
        ({"input": [{**CALL, "call_id": None}]}, "input[0].call_id", ""),
        ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments", ""),
        ({"input": [{**FOUND, "output": [PICTURE]}]}, "input[0].output[0]", "user's message"),
        ({"instructions": 5}, "instructions", ""),
        ({"temperature": 9}, "temperature", ""),
        ({"top_p": -1}, "top_p", ""),
        ({"max_output_tokens": 0}, "max_output_tokens", ""),
        ({"max_output_tokens": "16"}, "max_output_tokens", ""),
        ({"top_logprobs": 21}, "top_logprobs", ""),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "'web_search'"),
        ({"tools": [TOOL, {"type": "custom", "name": "x"}]}, "tools[1].type", "'custom'"),
        ({"tools": [{"type": "{weather}\n"}]}, "tools[0].type", "without a known type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "in the tool itself"),
        ({"tools": "web"}, "tools", ""),
        ({"tools": [TOOL] * 10_001}, "tools", "length <= 10000"),
        ({"tool_choice": "always"}, "tool_choice", ""),
        ({"tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type", "'mcp'"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "time"}}, "tool_choice.name", "no function"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [OTHER]}},
            "tool_choice.tools[0].name",
            "no function",
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
            "tool_choice.tools",
            "no tool",
        ),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type", "json_schema"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", "required"),
        ({"metadata": {"a": 5}}, "metadata[...]", ""),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "again in input"),
        ({"conversation": "conv_1"}, "conversation", "again in input"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "in instructions"),
        ({"background": True}, "background", "stream"),
        ({"truncation": "auto"}, "truncation", "yourself"),
    ],
    ids=lambda value: repr(value)[:80],
)
def test_what_is_refused(fields: dict[str, Any], param: str, words: str) -> None:
    """The error names the field of this API, and says what to do."""
    with pytest.raises(InvalidValue) as refused:
        asked(**fields)
    assert refused.value.param == param
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"store": False, "max_tool_calls": None, "stream_options": {"include_obfuscation": False}}, []),
        ({"store": True, "max_tool_calls": 5, "stream_options": {"include_obfuscation": True}},
         ["max_tool_calls", "store", "stream_options"]),
        ({"seed": 5, "n": 2, "moderation": {}}, ["moderation", "n", "seed"]),
        ({"include": ["reasoning.encrypted_content"], "top_logprobs": 3}, ["include", "top_logprobs"]),
        ({"reasoning": {"summary": "auto", "generate_summary": "auto"}},
         ["reasoning.generate_summary", "reasoning.summary"]),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_ignored(fields: dict[str, Any], names: list[str]) -> None:
    """Fields that change nothing are named for `x-minitoolai-ignored`."""
    found = asked(**fields)
    assert sorted(found.ignored) == names
    assert not found.chat.keys() & {"seed", "n"}


ITEMS = [
    USER,
    CALL,
    {**CALL, "call_id": "c2"},
    {"type": "reasoning"},
    FOUND,
    {"role": "user", "content": [PICTURE, PICTURE]},
]


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("messages", "input"),
        ("messages[0]", "instructions"),
        ("messages[0].content", "instructions"),
        ("messages[1].content", "input[0].content"),
        ("messages[2]", "input[1]"),
        ("messages[2].tool_calls[1]", "input[2]"),
        ("messages[2].tool_calls[1].id", "input[2].call_id"),
        ("messages[2].tool_calls[0].function.arguments", "input[1].arguments"),
        ("messages[3].content", "input[4].output"),
        ("messages[4].content[1]", "input[5].content[1]"),
        ("messages[4].content[1].image_url.url", "input[5].content[1].image_url"),
        ("messages[4].content[0].image_url.detail", "input[5].content[0].detail"),
        ("tools[3].function.name", "tools[3].name"),
        ("tool_choice.function.name", "tool_choice.name"),
        ("response_format", "text.format"),
        ("response_format.json_schema.schema", "text.format.schema"),
        ("reasoning_effort", "reasoning.effort"),
        ("verbosity", "text.verbosity"),
        ("model", "model"),
        ("x-max-cost", "x-max-cost"),
    ],
)
def test_where_chat_fields_come_from(path: str, origin: str) -> None:
    """A path of the chat body leads back to the field that the caller sent."""
    assert asked(input=ITEMS, instructions="Be brief.").origins.of(path) == origin


@pytest.mark.parametrize(
    ("error", "param", "words"),
    [
        (InvalidValue(param="max_completion_tokens", why="too many."), "max_output_tokens", "for 'max_output_tokens': too"),
        (EngineRefusedRequest(param="reasoning_effort", model="m", where=": 'reasoning_effort'"), "reasoning.effort",
         ": 'reasoning.effort'."),
        (CostCapExceeded(param="x-max-cost", needed="2", cap="1"), "x-max-cost", "smaller max_output_tokens"),
    ],
    ids=repr,
)  # fmt: skip
def test_errors_speak_of_the_callers_fields(error: ApiError, param: str, words: str) -> None:
    """Its `param`, and its message."""
    shown = json.loads(asked().origins.error_body(error))["error"]
    assert shown["param"] == param
    assert words in shown["message"]
    assert shown["code"] == error.code
