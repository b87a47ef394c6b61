"""Calls of every kind, made up by dice: models, surfaces, pictures, tools, choices, and what goes wrong with them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.support.clients import OPENAI, SEED
from tests.support.faithful_values import png

#: USD per million tokens: read, read from the provider's cache, written. Some are odd, so that rounding shows.
PRICES = {
    "gpt-4o-mini": ("0.15", "0.075", "0.6"),
    "gpt-4o": ("2.5", "1.25", "10"),
    "o4-mini": ("1.1", "0.275", "4.4"),
    "gpt-4.1-nano": ("0.100000007", "0.033333333", "0.399999999"),
}
WORDS = ["snow", "river", "pine", "Zażółć", "gęślą", "salmon", "glacier", "🎉", "dog-sled", "aurora", "kayak"]
#: Long enough that the provider caches it: 1024 tokens and more.
STORY = " ".join(f"On day {day} they saw {WORDS[day % len(WORDS)]}." for day in range(200))
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {
        "place": {"type": "string"}, "days": {"type": "integer"}}, "required": ["place", "days"]}}}
    for name in ("weather", "tides")
]  # fmt: skip


@dataclass
class Told:
    """One call: what was asked, and what came of it."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    #: Read so many frames of a stream, then leave; None: read to the end.
    leave_after: int | None = None
    status: int = 0
    #: Its hold; None: no headers came.
    id: UUID | None = None
    received: bytes = b""
    replayed: bool = False
    left: bool = False

    @property
    def number(self) -> str:
        """Its number on the invoice."""
        return str(self.body["metadata"]["number"])

    @property
    def text(self) -> str:
        """What the caller received of a stream's texts."""
        parts = []
        for frame in self.received.split(b"\n\n")[:-1]:
            if frame.startswith(b"data: {"):
                for choice in json.loads(frame[6:]).get("choices", ()):
                    parts.append(choice["delta"].get("content") or "")
        return "".join(parts)

    @property
    def told_cost(self) -> int | None:
        """What the reply says that the call cost; None: it does not say."""
        if self.status != 200 or self.left:
            return None
        if not self.body.get("stream", self.path == SEED):
            return round(float(json.loads(self.received)["usage"]["cost"]) * 10**9)
        costs = [json.loads(frame[6:])["usage"]["cost"] for frame in self.received.split(b"\n\n") if b'"cost":' in frame]
        return round(float(costs[0]) * 10**9) if costs else None


def invent(dice: random.Random, number: int) -> Told:
    """Make up a call."""
    words = " ".join(dice.choices(WORDS, k=dice.randint(1, 60)))
    model = dice.choice([*PRICES, "gpt-4o-mini"])
    message: dict[str, Any] = {"role": "user", "content": words}
    metadata: dict[str, str] = {"number": str(number)}
    body: dict[str, Any] = {"model": model, "messages": [message], "metadata": metadata}
    call = Told(dice.choice([SEED, OPENAI]), body)
    if dice.random() < 0.6:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    elif call.path == SEED:
        body["stream"] = False
    if dice.random() < 0.2:
        body["messages"] = [{"role": "system", "content": STORY}, message]
    if dice.random() < 0.15:
        body["n"] = dice.randint(2, 4)
    if dice.random() < 0.1:
        body["tools"] = TOOLS
        message["content"] += dice.choice([" weather", " weather and tides", ""])
    elif dice.random() < 0.1:
        picture = png(dice.randint(20, 1200), dice.randint(20, 1200))
        detail = dice.choice(["auto", "low", "high"])
        image = {"type": "image_url", "image_url": {"url": picture, "detail": detail}}
        message["content"] = [{"type": "text", "text": words}, image]
    if model == "o4-mini":
        body["reasoning_effort"] = dice.choice(["low", "medium", "high"])
    if dice.random() < 0.2:
        body["max_completion_tokens"] = dice.choice([1, 7, 400])
    _disturb(dice, call, metadata)
    return call


def _disturb(dice: random.Random, call: Told, metadata: dict[str, str]) -> None:
    """Let the call fail at the first provider or at both, break off, or be left by its caller."""
    streamed = bool(call.body.get("stream"))
    fate = dice.random()
    if fate < 0.12:
        metadata["refuse"] = dice.choice(["a=500", "a=503", "a=429", "a=401", "a=404"])
    elif fate < 0.16:
        metadata["refuse"] = dice.choice(["a=500 b=500", "a=429 b=429", "a=400"])
    elif fate < 0.26 and streamed:
        metadata["break_after"] = str(dice.randint(0, 25))
    elif fate < 0.38:
        call.leave_after = dice.randint(0, 12) if streamed else 0
        metadata["pause_s"] = "0.004" if streamed else "0.3"
    elif fate < 0.42:
        call.headers["x-max-cost"] = "0.000000001"
    elif fate < 0.45:
        call.body["temperature"] = 7
