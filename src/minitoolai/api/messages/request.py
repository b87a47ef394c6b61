"""Anthropic's body made OpenAI's: its messages, tools and options in the words that the core and the engines know."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from minitoolai.api.bodies import checked
from minitoolai.api.chat_request import MAX_MESSAGES, shown_names
from minitoolai.api.messages.schema import (
    AssistantBlock,
    AssistantMessage,
    Base64Source,
    CountBody,
    ImageBlock,
    MessagesBody,
    OutputConfig,
    SystemMessage,
    TextBlock,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
    UserBlock,
    UserMessage,
)
from minitoolai.core.errors import InvalidValue

#: Characters of `user` that OpenAI takes at most; Anthropic's clients send longer ids, which are hashed to as many.
MAX_USER_CHARACTERS = 64
#: OpenAI wants a name for a schema, Anthropic has none.
SCHEMA_NAME = "answer"

#: What to send instead, by the path of a `type` or `role` that is not understood here.
_INSTEAD: Mapping[str, str] = {
    r"messages\[\d+\]\.role": "A role is user, assistant or system; answers of tools are tool_result blocks of a user.",
    r"messages\[\d+\]\.content\[\d+\]\.type": "A user's message takes text, image and tool_result blocks; an assistant's "
    "takes text, tool_use and thinking blocks; a system's takes text blocks.",
    r"messages\[\d+\]\.content\[\d+\]\.content\[\d+\]\.type": "A tool_result takes text and image blocks.",
    r".*\.source\.type": "Send the picture as base64, or its https URL as url.",
    r"system\[\d+\]\.type": "It takes text blocks.",
    r"tools\[\d+\]\.type": "No tool runs on this server. Send tools of type custom, which your program runs.",
    r"output_config\.format\.type": "Send a json_schema, or omit the format.",
}
#: OpenAI's efforts end at high for every model that reasons.
_EFFORTS: Mapping[str, str] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_TOOL_CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks in Anthropic's body."""

    #: OpenAI's chat body.
    chat: dict[str, Any]
    #: Names of the body's fields that have no equivalent, comma-separated.
    ignored: str
    #: Paths of the chat body's messages, their parts and tools, each with the path of what it was made from.
    places: Mapping[str, str]
    #: Whether the caller wants to read the model's reasoning.
    shows_thinking: bool
    stop_sequences: tuple[str, ...] = ()


def message_asked(fields: dict[str, Any]) -> Asked:
    """Return what the body of `POST /v1/messages` asks. Raises `InvalidValue` with the path in that body."""
    return _asked(fields, MessagesBody)


def count_asked(fields: dict[str, Any]) -> Asked:
    """Return what the body of `POST /v1/messages/count_tokens` asks. Raises `InvalidValue`."""
    return _asked(fields, CountBody)


def _asked(fields: dict[str, Any], schema: type[CountBody]) -> Asked:
    body = checked(fields, schema, integers=("max_tokens",), instead=_INSTEAD)
    if body.thread is not None:
        raise InvalidValue(param="thread", why="this server keeps no conversation. Send all its messages, and no thread.")
    conversation = _Conversation(len(body.tools or ()))
    if body.system:
        conversation.add("system", "system", _parts(body.system, "system"))
    for index, message in enumerate(body.messages):
        conversation.take(message, f"messages[{index}]")
    chat = {"model": body.model, "messages": conversation.messages, **_tools(body)}
    if body.output_config is not None:
        chat |= _output(body.output_config)
    stops: tuple[str, ...] = ()
    if isinstance(body, MessagesBody):
        chat |= _options(body)
        stops = tuple(body.stop_sequences or ())
    thinking = body.thinking
    shows_thinking = thinking is not None and thinking.type != "disabled" and thinking.display != "omitted"
    unknown = fields.keys() - {field.encode_name for field in msgspec.structs.fields(MessagesBody)}
    return Asked(chat, shown_names(unknown), conversation.places, shows_thinking, stops)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a chat message, and where it came from."""

    content: dict[str, Any]
    path: str

    @property
    def is_text(self) -> bool:
        return "text" in self.content


class _Conversation:
    """The messages of a chat body, made one after the other."""

    def __init__(self, tools: int) -> None:
        """`tools`: how many there are, under the same paths in both bodies."""
        self.messages: list[dict[str, Any]] = []
        self.places = {path: path for path in (f"tools[{index}]" for index in range(tools))}

    def add(self, role: str, path: str, parts: Sequence[_Part], **more: Any) -> None:
        """Add a message made of what stands at `path`: plain text stays a string, which every engine understands."""
        content: str | list[dict[str, Any]] = [part.content for part in parts]
        if all(part.is_text for part in parts) and len(parts) <= 1:
            content = parts[0].content["text"] if parts else ""
        if len(self.messages) == MAX_MESSAGES:
            raise InvalidValue(param=path, why=f"a call has at most {MAX_MESSAGES} messages, with the answers of tools.")
        place = f"messages[{len(self.messages)}]"
        self.places[place] = path
        self.places.update({f"{place}.content[{index}]": part.path for index, part in enumerate(parts)})
        self.messages.append({"role": role, "content": content, **more})

    def take(self, message: UserMessage | AssistantMessage | SystemMessage, path: str) -> None:
        """Add what one of Anthropic's messages, at `path`, stands for."""
        if isinstance(message, SystemMessage):
            self.add("system", path, _parts(message.content, f"{path}.content"))
        elif isinstance(message, AssistantMessage):
            self._take_assistant(message.content, path)
        else:
            self._take_user(message.content, path)

    def _take_assistant(self, content: str | Sequence[AssistantBlock], path: str) -> None:
        calls = [_tool_call(block) for block in content if isinstance(block, ToolUseBlock)]
        self.add("assistant", path, _parts(content, f"{path}.content"), **({"tool_calls": calls} if calls else {}))

    def _take_user(self, content: str | Sequence[UserBlock], path: str) -> None:
        """Add the answers of tools first, which OpenAI wants right after their calls, then what the user says.

        OpenAI's tools answer in text only: their pictures are shown by the user.
        """
        said = _parts(content, f"{path}.content")
        results = [(index, block) for index, block in enumerate(content) if isinstance(block, ToolResultBlock)]
        pictures: list[_Part] = []
        for index, block in results:
            place = f"{path}.content[{index}]"
            found = _parts(block.content or "", f"{place}.content")
            texts = [part for part in found if part.is_text]
            if block.is_error:  # OpenAI has no field for it
                texts.insert(0, _Part({"type": "text", "text": "Error:"}, place))
            self.add("tool", place, texts, tool_call_id=block.tool_use_id)
            pictures += [part for part in found if not part.is_text]
        if pictures or said or not results:
            self.add("user", path, [*pictures, *said])


def _parts(content: str | Sequence[Any], path: str) -> list[_Part]:
    """Return the parts that a model is told of a message's content."""
    if isinstance(content, str):
        return [_Part({"type": "text", "text": content}, path)]
    told = TextBlock | ImageBlock
    return [_part(block, f"{path}[{index}]") for index, block in enumerate(content) if isinstance(block, told)]


def _part(block: TextBlock | ImageBlock, path: str) -> _Part:
    if isinstance(block, TextBlock):
        return _Part({"type": "text", "text": block.text}, path)
    source = block.source
    url = f"data:{source.media_type};base64,{source.data}" if isinstance(source, Base64Source) else source.url
    return _Part({"type": "image_url", "image_url": {"url": url}}, path)


def _tool_call(block: ToolUseBlock) -> dict[str, Any]:
    function = {"name": block.name, "arguments": _encode(block.input).decode()}
    return {"id": block.id, "type": "function", "function": function}


def _tools(body: CountBody) -> dict[str, Any]:
    """Return OpenAI's fields for the tools and the choice among them."""
    choice = body.tool_choice
    if not body.tools:
        if choice is not None and choice.type in ("any", "tool"):
            raise InvalidValue(param="tool_choice", why="there is no tool to choose. Send tools, or omit it.")
        return {}
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in body.tools]}
    if choice is None:
        return found
    if choice.type == "tool":
        if not choice.name:
            raise InvalidValue(param="tool_choice.name", why="it is required and missing.")
        found["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        found["tool_choice"] = _TOOL_CHOICES[choice.type]
    if choice.disable_parallel_tool_use:
        found["parallel_tool_calls"] = False
    return found


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _output(config: OutputConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.effort is not None:
        found["reasoning_effort"] = _EFFORTS[config.effort]
    if config.format is not None:
        schema = {"name": SCHEMA_NAME, "schema": config.format.schema, "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found


def _options(body: MessagesBody) -> dict[str, Any]:
    user = body.metadata.user_id if body.metadata is not None else None
    if user is not None and len(user) > MAX_USER_CHARACTERS:
        user = hashlib.sha256(user.encode()).hexdigest()
    return {
        "max_tokens": body.max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "stop": body.stop_sequences or None,
        "user": user,
        "stream": body.stream,
        "stream_options": {"include_usage": True},
    }
