"""Chat completions told as Anthropic's messages: whole, or as the events of a stream. Sans I/O.

A message is a row of blocks, one after the other: reasoning (where the caller wants it), text, calls of tools.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from minitoolai.core.inference import Usage, parse_usage
from minitoolai.core.sse import typed_event

#: Where engines put their reasoning; one that fills both says the same twice.
_REASONING = ("reasoning_content", "reasoning")
#: How a delta of each kind of block is called, and the field its text is in.
_DELTAS: Mapping[str, tuple[str, str]] = {
    "thinking": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "tool_use": ("input_json_delta", "partial_json"),
}

_decode = msgspec.json.Decoder().decode


class Piece(NamedTuple):
    """What one message or delta adds to one block."""

    #: `thinking`, `text` or `tool_use`.
    kind: str
    #: For a tool: of its arguments' JSON.
    text: str
    #: Which call of a tool.
    call: int = 0
    #: Of the call, where it begins.
    id: str = ""
    name: str = ""


def pieces(part: object, *, thinking: bool) -> Iterator[Piece]:
    """Yield what a chat `message` or `delta` adds, in the order of a message's blocks; `thinking`: reasoning too."""
    if not isinstance(part, dict):
        return
    if thinking:
        reasoning = next((part[name] for name in _REASONING if part.get(name)), "")
        if reasoning and isinstance(reasoning, str):
            yield Piece("thinking", reasoning)
    for name in ("content", "refusal"):
        if part.get(name) and isinstance(part[name], str):
            yield Piece("text", part[name])
    calls = part.get("tool_calls")
    for position, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            index = call.get("index")
            yield Piece(
                "tool_use",
                _text(function.get("arguments")),
                index if isinstance(index, int) else position,
                _text(call.get("id")),
                _text(function.get("name")),
            )


@dataclass
class Ending:
    """How a message ended, as far as it is known."""

    #: The caller's own.
    stop_sequences: tuple[str, ...]
    _finish_reason: object = None
    _stopped_at: object = None
    _called: bool = False
    _refused: bool = False

    def note(self, choice: Mapping[str, Any], part: object) -> None:
        """Take what a choice and its message or delta tell."""
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        # vLLM's word for which of the stop sequences it was; OpenAI does not tell.
        self._stopped_at = choice.get("stop_reason") or self._stopped_at
        if isinstance(part, dict):
            self._called = self._called or bool(part.get("tool_calls"))
            self._refused = self._refused or bool(part.get("refusal"))

    def shown(self) -> dict[str, Any]:
        """Return `stop_reason` and `stop_sequence`."""
        if self._finish_reason == "length":
            return {"stop_reason": "max_tokens", "stop_sequence": None}
        if self._finish_reason == "content_filter" or self._refused:
            return {"stop_reason": "refusal", "stop_sequence": None}
        if self._called:  # OpenAI says "stop" where the caller chose the tool
            return {"stop_reason": "tool_use", "stop_sequence": None}
        if self._stopped_at in self.stop_sequences:
            return {"stop_reason": "stop_sequence", "stop_sequence": self._stopped_at}
        return {"stop_reason": "end_turn", "stop_sequence": None}


@dataclass(frozen=True, slots=True)
class MessageShape:
    """Anthropic's shape over one chat call (`api.paid.Shape`)."""

    #: Id and model of a reply whose engine gives none.
    spare_id: str
    spare_model: str
    #: Whether reasoning is shown.
    thinking: bool
    stop_sequences: tuple[str, ...]
    #: Of the prompt, as counted before the call: what a stream tells at its start.
    input_tokens: int
    #: Puts OpenAI's `error` object into Anthropic's shape.
    error: Callable[[dict[str, Any]], dict[str, Any]]

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the message for a `chat.completion`."""
        choice: dict[str, Any] = next(iter(_choices(body)), {})
        said, ending = choice.get("message"), Ending(self.stop_sequences)
        ending.note(choice, said)
        content = [self.block(piece) for piece in pieces(said, thinking=self.thinking)]
        return {**self.head(body), "content": content, **ending.shown(), "usage": usage_shown(body.get("usage"))}

    def events(self) -> MessageEvents:
        """Return what tells a stream."""
        return MessageEvents(self)

    def head(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """Return how a message begins that is made of a completion or chunk."""
        name = _text(reply.get("id")).removeprefix("chatcmpl-") or self.spare_id
        model = _text(reply.get("model")) or self.spare_model
        return {"id": f"msg_{name}", "type": "message", "role": "assistant", "model": model}

    def block(self, piece: Piece) -> dict[str, Any]:
        """Return the block that begins with `piece`."""
        if piece.kind == "text":
            return {"type": "text", "text": piece.text}
        if piece.kind == "thinking":
            return {"type": "thinking", "thinking": piece.text, "signature": ""}
        called = piece.id or f"toolu_{self.spare_id}_{piece.call}"
        return {"type": "tool_use", "id": called, "name": piece.name, "input": tool_input(piece.text)}


class MessageEvents:
    """Tells one stream (`api.paid.Events`): blocks open and close one after the other."""

    def __init__(self, shape: MessageShape) -> None:
        self._shape = shape
        self._ending = Ending(shape.stop_sequences)
        self._usage: object = None
        self._begun = False
        #: Blocks so far; the last one is open where `_open` says which.
        self._blocks = 0
        self._open: tuple[str, int] | None = None
        #: Id and block of each call of a tool.
        self._calls: dict[int, tuple[str, int]] = {}

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """Return the events for one chunk."""
        out = [] if self._begun else self._begin(chunk)
        for choice in _choices(chunk):
            delta = choice.get("delta")
            self._ending.note(choice, delta)
            for piece in pieces(delta, thinking=self._shape.thinking):
                out += self._add(piece)
        self._usage = chunk.get("usage") or self._usage
        return b"".join(out)

    def done(self) -> bytes:
        """Return the events that end a complete message."""
        delta = {"type": "message_delta", "delta": self._ending.shown(), "usage": usage_shown(self._usage)}
        return b"".join([*self._close(), typed_event(delta), typed_event({"type": "message_stop"})])

    def error(self, error: dict[str, Any]) -> bytes:
        """Return the event that ends a message which failed: what is open stays so."""
        return typed_event(self._shape.error(error))

    def _begin(self, chunk: dict[str, Any]) -> list[bytes]:
        self._begun = True
        usage = _usage_of(Usage(self._shape.input_tokens, 0))
        message = {**self._shape.head(chunk), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        return [typed_event({"type": "message_start", "message": message}), typed_event({"type": "ping"})]

    def _add(self, piece: Piece) -> Iterator[bytes]:
        index = self._blocks - 1
        if piece.kind == "tool_use" and not self._starts_call(piece):
            # An engine that mixes calls goes on with one whose block is closed already: nothing of it may be lost.
            index = self._calls[piece.call][1]
        elif piece.kind == "tool_use" or self._open != (piece.kind, 0):
            yield from self._close()
            index, self._blocks = self._blocks, self._blocks + 1
            self._open = (piece.kind, piece.call)
            if piece.kind == "tool_use":
                self._calls[piece.call] = (piece.id, index)
            block = self._shape.block(piece._replace(text=""))
            yield typed_event({"type": "content_block_start", "index": index, "content_block": block})
        if piece.text:
            kind, field = _DELTAS[piece.kind]
            delta = {"type": kind, field: piece.text}
            yield typed_event({"type": "content_block_delta", "index": index, "delta": delta})

    def _starts_call(self, piece: Piece) -> bool:
        """Whether a piece is the first of its call; some engines give the same index to all of them."""
        known = self._calls.get(piece.call)
        return known is None or bool(piece.name and piece.id and piece.id != known[0])

    def _close(self) -> Iterator[bytes]:
        if self._open is not None:
            self._open = None
            yield typed_event({"type": "content_block_stop", "index": self._blocks - 1})


def usage_shown(shown: object) -> dict[str, Any]:
    """Return Anthropic's usage for OpenAI's with its `cost`: there, what was cached is no part of the input."""
    usage = _usage_of(parse_usage(shown) or Usage(0, 0))
    if isinstance(shown, dict) and "cost" in shown:
        usage["cost"] = shown["cost"]
    return usage


def _usage_of(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "service_tier": "standard",
    }


def tool_input(arguments: str) -> dict[str, Any]:
    """Return a tool's input for the JSON that a model wrote; what is no object is wrapped as Anthropic advises."""
    if not arguments.strip():
        return {}
    try:
        found = _decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"INVALID_JSON": arguments}


def _choices(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of a completion or chunk, as far as an engine kept to the form."""
    found = reply.get("choices")
    return [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
