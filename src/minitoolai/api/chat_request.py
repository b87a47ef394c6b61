"""OpenAI's chat body: its schema, and what a surface makes of it (docs/reference/chat.md).

Other surfaces translate their own body into this one and are checked by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from minitoolai.api.bodies import checked
from minitoolai.api.chat_parts import keep_known_fields
from minitoolai.api.image_parts import ImagePart, check_number, image_input, picture_bytes
from minitoolai.core.errors import InvalidValue
from minitoolai.core.inference import MAX_CHOICES, PASSED_FIELDS, PRICED_FIELDS, READ_FIELDS, ChatRequest, ImageInput

#: Messages of one call at most: far above any conversation, below what makes validation slow.
MAX_MESSAGES = 10_000
#: Tools of one call at most, for the same reason: the models of 2026 take some hundreds.
MAX_TOOLS = 10_000
#: Names of dropped fields shown in `x-minitoolai-ignored` at most.
MOST_IGNORED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Surface:
    """How a surface reads what the body leaves open."""

    stream_by_default: bool
    default_completion_tokens: int
    #: Whether streams always carry the usage chunk and every chunk the fields of the seed's sample.
    seed: bool


SEED = Surface(stream_by_default=True, default_completion_tokens=1000, seed=True)
OPENAI = Surface(stream_by_default=False, default_completion_tokens=4096, seed=False)


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    """A part of a message: text."""

    text: str


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    """A part of an assistant's message: its refusal."""

    refusal: str


class ToolFunction(msgspec.Struct):
    """The function that a tool is, or that a tool call calls."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    arguments: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """An offered tool, or a call of one."""

    type: str
    function: ToolFunction | None = None


class ToolCall(msgspec.Struct):
    """A call of a tool in an assistant's message."""

    id: str
    type: str = "function"
    function: ToolFunction | None = None


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[TextPart | RefusalPart | ImagePart] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCall] | None = None


class StreamOptions(msgspec.Struct):
    """`stream_options`."""

    include_usage: bool | None = None


_Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]


class ChatBody(msgspec.Struct):
    """The fields that are checked here; every other one of OpenAI's is the engine's to judge."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_completion_tokens: _Tokens | None = None
    max_tokens: _Tokens | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    tools: Annotated[list[Tool], msgspec.Meta(max_length=MAX_TOOLS)] | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None


#: What goes to the engine: those that change the price only where the model has one for them (`services.bounds`).
_KEPT = PASSED_FIELDS | {"service_tier", "web_search_options", "prediction"}
#: Tools that the caller's program runs.
_OWN_TOOLS = ("function", "custom")
_INTEGERS = ("max_completion_tokens", "max_tokens", "n", "top_logprobs", "seed")
_INSTEAD = {
    r"messages\[\d+\]\.content\[\d+\]\.type": "A part is 'text', 'image_url' or 'refusal'; audio and files are taken by no "
    "model of this server.",
}
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def chat_request(fields: dict[str, Any], body_bytes: int, surface: Surface) -> tuple[ChatRequest, str]:
    """Return the call that OpenAI's chat body `fields` asks for, and the names of fields that no engine takes,
    comma-separated. `body_bytes`: size of the JSON that the caller sent.

    Raises `InvalidValue`, `InvalidImageUrl`, `ImageTooLarge` with the field's path.
    """
    body = checked(fields, ChatBody, integers=_INTEGERS, instead=_INSTEAD)
    images = _check_messages(body.messages)
    _check_tools(body.tools or [], "tools")
    _check_tool_types(body.tools or [])
    _check_audio(fields)
    dropped = keep_known_fields(fields)
    limit = _limit(body)
    stream = surface.stream_by_default if body.stream is None else body.stream
    options = body.stream_options
    request = ChatRequest(
        model=body.model,
        body={name: value for name, value in fields.items() if name in _KEPT and value is not None},
        body_bytes=max(0, body_bytes - picture_bytes(images)),
        stream=stream,
        max_completion_tokens=limit,
        default_completion_tokens=surface.default_completion_tokens,
        choices=body.n or 1,
        include_usage=surface.seed or bool(options and options.include_usage),
        seed_fields=surface.seed,
        images=tuple(images),
    )
    return request, shown_names(dropped | (fields.keys() - PASSED_FIELDS - READ_FIELDS - PRICED_FIELDS.keys()))


def shown_names(dropped: Iterable[str]) -> str:
    """Return the names of dropped fields for `x-minitoolai-ignored`: those fit to be shown, comma-separated."""
    return ", ".join(sorted(name for name in dropped if _FIELD_NAME.fullmatch(name))[:MOST_IGNORED_SHOWN])


def _check_messages(messages: list[Message]) -> list[ImageInput]:
    """Return the pictures of all messages."""
    images: list[ImageInput] = []
    for index, message in enumerate(messages):
        param = f"messages[{index}].content"
        if message.content is None and not (message.role == "assistant"):
            raise InvalidValue(param=param, why=f"a message of role '{message.role}' needs text.")
        _check_tools(message.tool_calls or [], f"messages[{index}].tool_calls")
        if isinstance(message.content, list):
            images += [
                image_input(content, message.role, f"{param}[{part}]")
                for part, content in enumerate(message.content)
                if isinstance(content, ImagePart)
            ]
    check_number(images)
    return images


def _check_tools(tools: Sequence[Tool | ToolCall], param: str) -> None:
    for index, tool in enumerate(tools):
        if tool.type == "function" and tool.function is None:
            raise InvalidValue(param=f"{param}[{index}].function", why="it is required and missing.")


def _check_tool_types(tools: Sequence[Tool]) -> None:
    """Raise `InvalidValue` for a tool that the provider itself would run, and charge for."""
    for index, tool in enumerate(tools):
        if tool.type not in _OWN_TOOLS:
            why = "such a tool changes the price, and no model here has a price for it. Send tools of type 'function'."
            raise InvalidValue(param=f"tools[{index}].type", why=why)


def _check_audio(fields: dict[str, Any]) -> None:
    for name in ("audio", "modalities"):
        if name in fields and fields[name] not in PRICED_FIELDS[name]:
            raise InvalidValue(param=name, why="no model of this server hears or speaks in chat. Omit it.")


def _limit(body: ChatBody) -> int | None:
    both = {body.max_completion_tokens, body.max_tokens} - {None}
    if len(both) > 1:
        raise InvalidValue(param="max_tokens", why="it differs from max_completion_tokens. Send one of the two.")
    return next(iter(both), None)
