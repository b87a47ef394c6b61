"""Anthropic's body of `POST /v1/messages`, as far as it means something here (docs/reference/messages.md).

Fields without an equivalent in OpenAI's chat are left out: at the top they are named to the caller, inside they change
nothing (`cache_control`, `citations` …).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from minitoolai.api.chat_request import MAX_MESSAGES, MAX_TOOLS

_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class TextBlock(msgspec.Struct, tag_field="type", tag="text"):
    """Text."""

    text: str


class Base64Source(msgspec.Struct, tag_field="type", tag="base64"):
    """A picture in the body itself."""

    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(msgspec.Struct, tag_field="type", tag="url"):
    """A picture by its URL."""

    url: str


class ImageBlock(msgspec.Struct, tag_field="type", tag="image"):
    """A picture."""

    source: Base64Source | UrlSource


class ToolUseBlock(msgspec.Struct, tag_field="type", tag="tool_use"):
    """A call of a tool, as the model asked for it."""

    id: _Name
    name: _Name
    input: dict[str, Any]


class ToolResultBlock(msgspec.Struct, tag_field="type", tag="tool_result"):
    """What a called tool answered."""

    tool_use_id: _Name
    content: str | list[TextBlock | ImageBlock] | None = None
    is_error: bool | None = None


class ThinkingBlock(msgspec.Struct, tag_field="type", tag="thinking"):
    """Reasoning of an earlier answer: taken back, and told to no engine."""


class RedactedThinkingBlock(msgspec.Struct, tag_field="type", tag="redacted_thinking"):
    """Reasoning that the caller itself never saw."""


UserBlock = TextBlock | ImageBlock | ToolResultBlock
AssistantBlock = TextBlock | ToolUseBlock | ThinkingBlock | RedactedThinkingBlock


class UserMessage(msgspec.Struct, tag_field="role", tag="user"):
    """What the user said, and what its tools answered."""

    content: str | list[UserBlock]


class AssistantMessage(msgspec.Struct, tag_field="role", tag="assistant"):
    """What the model said."""

    content: str | list[AssistantBlock]


class SystemMessage(msgspec.Struct, tag_field="role", tag="system"):
    """What the operator says in the middle of a conversation."""

    content: str | list[TextBlock]


class Tool(msgspec.Struct):
    """A tool that the caller runs."""

    name: _Name
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct):
    """Whether, and which, tool is to be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct):
    """Whether the caller wants to read the model's reasoning."""

    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(msgspec.Struct, tag_field="type", tag="json_schema"):
    """The JSON schema that the answer has to fulfil."""

    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    """How hard the model tries, and the form of its answer."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class Metadata(msgspec.Struct):
    """Who the caller's user is."""

    user_id: str | None = None


class CountBody(msgspec.Struct, kw_only=True):
    """What is counted: all that a model reads."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    messages: Annotated[
        list[UserMessage | AssistantMessage | SystemMessage], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)
    ]
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[Tool], msgspec.Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    #: A conversation that the server keeps: this one keeps none.
    thread: dict[str, Any] | None = None


class MessagesBody(CountBody, kw_only=True):
    """What is answered."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
    stream: bool | None = None
    temperature: _Share | None = None
    top_p: _Share | None = None
    stop_sequences: list[str] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
