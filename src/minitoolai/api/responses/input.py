"""The input items of a Responses body as the messages of a chat body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minitoolai.api.responses.body import (
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    InputText,
    MessageItem,
    OutputText,
    Part,
    Refusal,
    ResponsesBody,
)
from minitoolai.api.responses.origins import Origins
from minitoolai.core.errors import InvalidValue


def chat_messages(body: ResponsesBody, origins: Origins) -> list[dict[str, Any]]:
    """Return the conversation that `body` holds, and note in `origins` where each of its messages comes from.

    Raises `InvalidValue` for parts that no chat message can hold.
    """
    conversation = _Conversation(origins)
    if body.instructions is not None:
        conversation.say("system", body.instructions, "instructions", "instructions")
    if isinstance(body.input, str):
        conversation.say("user", body.input, "input", "input")
        return conversation.messages
    for index, item in enumerate(body.input):
        origin = f"input[{index}]"
        if isinstance(item, MessageItem):
            content = _content(item.content, f"{origin}.content")
            conversation.say(item.role, content, origin, f"{origin}.content")
        elif isinstance(item, FunctionCall):
            conversation.call(item, origin)
        elif isinstance(item, FunctionCallOutput):
            conversation.tell(item.call_id, _content(item.output, f"{origin}.output", text_only=True), origin)
    return conversation.messages


class _Conversation:
    """Messages, one after the other. What an assistant says and calls in one turn is one message."""

    def __init__(self, origins: Origins) -> None:
        self.messages: list[dict[str, Any]] = []
        self._origins = origins

    def say(self, role: str, content: str | list[dict[str, Any]], origin: str, content_origin: str) -> None:
        """Add what somebody says."""
        last = self.messages[-1] if self.messages else {}
        if role == "assistant" and last.get("tool_calls") and last["content"] is None:
            last["content"] = content
        else:
            self._add({"role": role, "content": content}, origin)
        self._origins.note(f"{self._last}.content", content_origin)

    def call(self, item: FunctionCall, origin: str) -> None:
        """Add a call of a function."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            self._add({"role": "assistant", "content": None}, origin)
        calls = self.messages[-1].setdefault("tool_calls", [])
        path = f"{self._last}.tool_calls[{len(calls)}]"
        self._origins.note(path, origin)
        self._origins.note(f"{path}.id", f"{origin}.call_id")
        function = {"name": item.name, "arguments": item.arguments}
        calls.append({"id": item.call_id, "type": "function", "function": function})

    def tell(self, call_id: str, content: str | list[dict[str, Any]], origin: str) -> None:
        """Add what a function found."""
        self._add({"role": "tool", "tool_call_id": call_id, "content": content}, origin)
        self._origins.note(f"{self._last}.content", f"{origin}.output")
        self._origins.note(f"{self._last}.tool_call_id", f"{origin}.call_id")

    @property
    def _last(self) -> str:
        return f"messages[{len(self.messages) - 1}]"

    def _add(self, message: dict[str, Any], origin: str) -> None:
        self.messages.append(message)
        self._origins.note(self._last, origin)


def _content(content: str | list[Part], origin: str, *, text_only: bool = False) -> str | list[dict[str, Any]]:
    """Return a message's content: a string where it is one text, as every engine takes it."""
    if isinstance(content, str):
        return content
    parts = list(_parts(content, origin, text_only=text_only))
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _parts(content: Sequence[Part], origin: str, *, text_only: bool) -> Iterable[dict[str, Any]]:
    for index, part in enumerate(content):
        param = f"{origin}[{index}]"
        if isinstance(part, InputText | OutputText):
            yield {"type": "text", "text": part.text}
        elif text_only:
            raise InvalidValue(param=param, why="what a function found is text here. Send pictures in a user's message.")
        elif isinstance(part, Refusal):
            yield {"type": "refusal", "refusal": part.refusal}
        elif isinstance(part, InputImage):
            if part.image_url is None:
                why = "this server stores no files. Send the picture itself in image_url, as an https or data: URL."
                raise InvalidValue(param=f"{param}.image_url", why=why)
            image = {"url": part.image_url, **({"detail": part.detail} if part.detail else {})}
            yield {"type": "image_url", "image_url": image}
        else:
            why = "models read text and pictures here. Send input_text and input_image parts."
            raise InvalidValue(param=f"{param}.type", why=why)
