"""A chat completion of every kind, and the shape that tells it as a message."""

from __future__ import annotations

from typing import Any

from minitoolai.api.messages.reply import MessageShape

USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 12,
    "total_tokens": 42,
    "prompt_tokens_details": {"cached_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 4},
    "cost": 0.0005,
}
SHOWN_USAGE = {
    "input_tokens": 10,
    "output_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 4},
    "service_tier": "standard",
    "cost": 0.0005,
}
HEAD = {"id": "chatcmpl-abc", "created": 5, "model": "m"}


def shape(*, thinking: bool = False, stop_sequences: tuple[str, ...] = ()) -> MessageShape:
    """The shape of one call."""
    return MessageShape("spare", "asked", thinking, stop_sequences, 25, lambda error: {"type": "error", "error": error})


def call(arguments: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """A whole call of a tool."""
    return {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": arguments}, **more}
