"""The body of `POST /v1/responses`: its schema, as OpenAI publishes it (docs/reference/responses.md).

What this server cannot do is refused here by name, and so is every kind of item and tool that it does not know.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from minitoolai.api.bodies import checked
from minitoolai.api.chat_request import MAX_TOOLS
from minitoolai.core.errors import InvalidValue

#: Items of one call at most: as many as messages (`chat_request.MAX_MESSAGES`).
MAX_ITEMS = 10_000


class InputText(msgspec.Struct, tag_field="type", tag="input_text"):
    """A part of a message or of a tool's output: text."""

    text: str


class OutputText(msgspec.Struct, tag_field="type", tag="output_text"):
    """A part of an assistant's message: text."""

    text: str


class Refusal(msgspec.Struct, tag_field="type", tag="refusal"):
    """A part of an assistant's message: its refusal."""

    refusal: str


class InputImage(msgspec.Struct, tag_field="type", tag="input_image"):
    """A part of a message: an image."""

    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class InputFile(msgspec.Struct, tag_field="type", tag="input_file"):
    """A part that is refused: no model here reads files."""


class InputAudio(msgspec.Struct, tag_field="type", tag="input_audio"):
    """A part that is refused: no model here hears."""


Part = InputText | OutputText | Refusal | InputImage | InputFile | InputAudio


class MessageItem(msgspec.Struct, tag_field="type", tag="message"):
    """An item: one message of the conversation."""

    role: Literal["developer", "system", "user", "assistant"]
    content: str | list[Part]


class FunctionCall(msgspec.Struct, tag_field="type", tag="function_call"):
    """An item: the model called a function."""

    call_id: str
    name: Annotated[str, msgspec.Meta(min_length=1)]
    arguments: str


class FunctionCallOutput(msgspec.Struct, tag_field="type", tag="function_call_output"):
    """An item: what the function found."""

    call_id: str
    output: str | list[Part]


class ReasoningItem(msgspec.Struct, tag_field="type", tag="reasoning"):
    """An item: the model's reasoning. It comes back with the others and is dropped."""


Item = MessageItem | FunctionCall | FunctionCallOutput | ReasoningItem


class FunctionTool(msgspec.Struct, tag_field="type", tag="function"):
    """A function that the model may call."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class AllowedTool(msgspec.Struct, tag_field="type", tag="function"):
    """One of the functions that `tool_choice` leaves."""

    name: str


class FunctionChoice(msgspec.Struct, tag_field="type", tag="function"):
    """`tool_choice`: this function."""

    name: str


class AllowedTools(msgspec.Struct, tag_field="type", tag="allowed_tools"):
    """`tool_choice`: some of the functions."""

    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class PlainFormat(msgspec.Struct, tag_field="type", tag="text"):
    """`text.format`: as the model likes."""


class JsonFormat(msgspec.Struct, tag_field="type", tag="json_object"):
    """`text.format`: any JSON object."""


class SchemaFormat(msgspec.Struct, tag_field="type", tag="json_schema"):
    """`text.format`: JSON of a schema."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextSettings(msgspec.Struct):
    """`text`."""

    format: PlainFormat | JsonFormat | SchemaFormat | None = None
    verbosity: str | None = None


class ReasoningSettings(msgspec.Struct):
    """`reasoning`."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ResponsesBody(msgspec.Struct):
    """The fields that are understood."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    input: str | Annotated[list[Item], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    tools: Annotated[list[FunctionTool], msgspec.Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | AllowedTools | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: ReasoningSettings | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    truncation: str | None = None


#: A type of tool that may be shown back.
_WORD = re.compile(r"[a-z0-9_]{1,40}")
_INTEGERS = ("max_output_tokens", "top_logprobs")
_KNOWN_ITEMS = ("message", "function_call", "function_call_output", "reasoning")
#: What to send instead, by the path of a `type` that is not understood here.
_INSTEAD = {
    r"input\[\d+\]\.content\[\d+\]\.type": "What is said to the model is input_text and input_image parts, what it "
    "said itself output_text and refusal parts.",
    r"input\[\d+\]\.output\[\d+\]\.type": "What a function found is a string, or input_text parts.",
    r"tools\[\d+\]\.name": "It stands in the tool itself, as its parameters do, not in a function in it.",
    r"text\.format\.type": "It is text, json_object or json_schema.",
}
#: Fields that name something which is kept between calls, and what to do without it.
_STORED = {
    "previous_response_id": "Send the earlier input and output items again in input.",
    "conversation": "Send the earlier input and output items again in input.",
    "prompt": "Send its text in instructions and input.",
}


def responses_body(fields: dict[str, Any]) -> ResponsesBody:
    """Return `fields` checked; items without a type are made messages, in `fields` too. Raises `InvalidValue`."""
    for name, remedy in _STORED.items():
        if fields.get(name) is not None:
            raise InvalidValue(param=name, why=f"this server stores no responses, conversations or prompts. {remedy}")
    _check_items(fields.get("input"))
    _check_tools(fields)
    body = checked(fields, ResponsesBody, integers=_INTEGERS, instead=_INSTEAD)
    if body.background:
        raise InvalidValue(param="background", why="responses are made while the call waits. Omit it, or stream.")
    if body.truncation not in (None, "disabled"):
        why = "this server leaves nothing of the input out. Omit it, and shorten the input yourself."
        raise InvalidValue(param="truncation", why=why)
    return body


def _check_items(items: object) -> None:
    """Give messages their type; refuse items of another kind with a remedy."""
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(item, dict):
            continue
        if item.get("type") is None:
            item["type"] = "message" if "role" in item or "id" not in item else "item_reference"
        kind = item["type"]
        if kind == "item_reference":
            why = "this server stores no items. Send the item itself, as it came."
            raise InvalidValue(param=f"input[{index}]", why=why)
        if kind not in _KNOWN_ITEMS:
            why = f"items are of type {', '.join(_KNOWN_ITEMS)}; tools that need another are not run here."
            raise InvalidValue(param=f"input[{index}].type", why=why)


def _check_tools(fields: dict[str, Any]) -> None:
    """Refuse tools that are no functions by their type."""
    tools, choice = fields.get("tools"), fields.get("tool_choice")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict) and tool.get("type") != "function":
            raise _no_tool(f"tools[{index}].type", tool.get("type"))
    if isinstance(choice, dict) and choice.get("type") not in ("function", "allowed_tools"):
        raise _no_tool("tool_choice.type", choice.get("type"))


def _no_tool(param: str, kind: object) -> InvalidValue:
    shown = f"of type '{kind}'" if isinstance(kind, str) and _WORD.fullmatch(kind) else "without a known type"
    why = f"tools {shown} are not run here. Send tools of type 'function', and run them yourself."
    return InvalidValue(param=param, why=why)
