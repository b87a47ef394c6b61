"""A chat stream put together into one `chat.completion`, and such a reply as the shortest stream, sans I/O.

Both know each field that OpenAI's streams carry in parts; what else a delta has is kept as it came last. Left out are
`usage`, which the gateway tells itself, and `audio`, which no model of this server speaks.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import msgspec

from minitoolai.core.chat_stream import with_seed_fields
from minitoolai.core.sse import event, frame_data

#: What a chunk and a whole reply have in common beside their choices.
_HEAD = ("id", "created", "model", "service_tier", "system_fingerprint")
#: Fields of a delta that are text, sent in parts.
_TEXTS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
#: Fields of a delta that are put together by rules of their own, or not at all.
_OTHERS = frozenset({"role", "tool_calls", "function_call", "annotations", "audio"})

_decode = msgspec.json.Decoder().decode


class Assembly:
    """The chunks of one stream, as they come. What does not have OpenAI's shape is passed over."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: dict[str, Any]) -> None:
        """Take the next chunk in."""
        for name in _HEAD:
            if name in chunk and (chunk[name] is not None or name not in self._head):
                self._head[name] = chunk[name]
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index")
                self._choices.setdefault(index if isinstance(index, int) else 0, _Choice()).add(choice)

    def completion(self) -> dict[str, Any]:
        """Return the reply so far, without `usage`."""
        return {
            "id": self._head.get("id"),
            "object": "chat.completion",
            **{name: value for name, value in self._head.items() if name != "id"},
            "choices": [{"index": index, **choice.whole()} for index, choice in sorted(self._choices.items())],
        }


class _Choice:
    """One choice of a stream."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        #: Each with its place among the others: its index, which some engines give to several.
        self._tool_calls: list[tuple[int, dict[str, Any]]] = []
        #: The newest by its index.
        self._newest: dict[int, dict[str, Any]] = {}
        self._logprobs: dict[str, Any] | None = None
        self._finish_reason: str | None = None

    def add(self, choice: dict[str, Any]) -> None:
        """Take its part of a chunk in."""
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        if isinstance(choice.get("logprobs"), dict):
            self._logprobs = self._logprobs or {}
            for name, tokens in choice["logprobs"].items():
                _extend(self._logprobs, name, tokens)
        delta = choice.get("delta")
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name in _TEXTS:
                _append(self._message, name, value)
            elif name == "annotations":
                _extend(self._message, name, value)
            elif name == "tool_calls":
                for part in value if isinstance(value, list) else ():
                    self._add_tool_call(part)
            elif name == "function_call" and isinstance(value, dict):
                _call_function(self._message.setdefault(name, {"name": "", "arguments": ""}), value)
            elif name not in _OTHERS:
                self._message[name] = value

    def _add_tool_call(self, part: object) -> None:
        """Take a part of a tool call in."""
        if not isinstance(part, dict):
            return
        call, index = self._call_of(part), part.get("index")
        if call is None:
            call = {"id": "", "type": "function"}
            self._tool_calls.append((index if isinstance(index, int) else len(self._tool_calls), call))
            if isinstance(index, int):
                self._newest[index] = call
        for name, value in part.items():
            if isinstance(value, dict):  # `function`, or `custom`: a name, and its input in parts
                _call_function(call.setdefault(name, {}), value)
            elif name != "index" and value:
                call[name] = value

    def _call_of(self, part: dict[str, Any]) -> dict[str, Any] | None:
        """Return the call that a part goes on with; None: it begins one.

        Its index names it, but some engines give the same to all; without one, a part with an id begins a call.
        """
        index, call_id = part.get("index"), part.get("id")
        if not isinstance(index, int):
            return self._tool_calls[-1][1] if self._tool_calls and not call_id else None
        call, function = self._newest.get(index), part.get("function")
        named = isinstance(function, dict) and bool(function.get("name"))
        another = call is not None and named and call["id"] and call_id and call_id != call["id"]
        return None if another else call

    def whole(self) -> dict[str, Any]:
        """Return the choice without its index. A message that has nothing to say says the empty text."""
        message = dict(self._message)
        if self._tool_calls:
            message["tool_calls"] = [call for _, call in sorted(self._tool_calls, key=itemgetter(0))]
        elif message["content"] is None and message["refusal"] is None and "function_call" not in message:
            message["content"] = ""
        return {"message": message, "logprobs": self._logprobs, "finish_reason": self._finish_reason}


def _append(into: dict[str, Any], name: str, text: object) -> None:
    """Append a part of a text; null where none came."""
    if isinstance(text, str):
        into[name] = (into.get(name) or "") + text
    else:
        into.setdefault(name, None)


def _extend(into: dict[str, Any], name: str, items: object) -> None:
    """Append a part of a list; null where none came."""
    if isinstance(items, list):
        into[name] = (into.get(name) or []) + items
    else:
        into.setdefault(name, None)


def _call_function(into: dict[str, Any], part: dict[str, Any]) -> None:
    """Append the parts of a function's name and arguments."""
    for name, text in part.items():
        if isinstance(text, str):
            into[name] = into.get(name, "") + text


def assemble(frames: Iterable[bytes]) -> dict[str, Any]:
    """Return whole frames of a stream as the `chat.completion` that they tell, without `usage`."""
    assembly = Assembly()
    for frame in b"".join(frames).split(b"\n\n"):
        try:
            chunk = _decode(frame_data(frame + b"\n\n"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # a comment, or the end
        if isinstance(chunk, dict):
            assembly.add(chunk)
    return assembly.completion()


def as_stream(body: dict[str, Any], *, seed_fields: bool) -> list[bytes]:
    """Return a `chat.completion` as frames: for each choice one with all it says and one with its end; no usage chunk.

    `seed_fields`: with all the fields of the seed document's sample.
    """
    head = {name: body[name] for name in ("id", "object", *_HEAD[1:]) if name in body} | {"object": "chat.completion.chunk"}
    parts = []
    for choice in body["choices"]:
        said = {"delta": _delta(choice["message"]), "logprobs": choice.get("logprobs"), "finish_reason": None}
        ended = {"delta": {}, "logprobs": None, "finish_reason": choice.get("finish_reason")}
        parts += [{"index": choice.get("index", 0), **part} for part in (said, ended)]
    chunks: list[dict[str, Any]] = [{**head, "choices": [part]} for part in parts]
    return [event(with_seed_fields(chunk) if seed_fields else chunk) for chunk in chunks]


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as the one delta that says all of it."""
    if not message.get("tool_calls"):
        return message
    return {**message, "tool_calls": [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]}
