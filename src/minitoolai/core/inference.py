"""What a model was asked and what it used: chat requests, usage, and which fields travel to an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from msgspec import Struct

from minitoolai.core.ledger import Repeatable

#: Fields of OpenAI's chat body that are handed to an engine untouched
#: (https://platform.openai.com/docs/api-reference/chat/create). Those that the gateway reads are not in the list.
PASSED_FIELDS = frozenset(
    {
        "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "messages", "metadata", "n",
        "parallel_tool_calls", "presence_penalty", "prompt_cache_key", "reasoning_effort", "response_format",
        "safety_identifier", "seed", "stop", "temperature", "tool_choice", "tools", "top_logprobs", "top_p",
        "user", "verbosity",
    }
)  # fmt: skip
#: Fields that the gateway itself understands.
READ_FIELDS = frozenset({"model", "stream", "stream_options", "max_tokens", "max_completion_tokens"})
#: Fields that change what the provider charges, with the values of each that do not: any other needs a price in the
#: catalogue (`ChatModel.tiers`, `ChatModel.web_search_nusd`), and is refused where there is none.
PRICED_FIELDS: Mapping[str, tuple[object, ...]] = {
    "service_tier": (None, "auto", "default"),
    "web_search_options": (None,),
    "audio": (None,),
    "modalities": (None, ["text"]),
    "prediction": (None,),
}
#: No engine reports more tokens in one reply than this; a larger count is taken for a fault.
MAX_PLAUSIBLE_TOKENS = 100_000_000
#: Completion tokens below which an answer is not worth starting: the least that a hold asks for.
MIN_COMPLETION_TOKENS = 16
#: `n` of a request at most (docs/reference/chat.md).
MAX_CHOICES = 8


class Usage(Struct, frozen=True):
    """Tokens of one call."""

    prompt_tokens: int
    completion_tokens: int
    #: The engine's own usage object, for the details that the caller is shown; None when counted by the gateway.
    reported: Mapping[str, Any] | None = None
    #: Of the prompt's tokens, those that the engine had cached.
    cached_tokens: int = 0
    #: Of the completion's tokens, those of reasoning.
    reasoning_tokens: int = 0
    #: The service tier that the engine says it served the call at.
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class ImageInput:
    """A picture among a chat call's messages."""

    #: Path of its URL in the body, as `messages[2].content[1].image_url.url`.
    param: str
    #: `https:` or `data:`.
    url: str
    #: `auto`, `low` or `high`.
    detail: str
    #: Width and height, where the picture itself came with the call.
    pixels: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat call as a surface hands it to the use case: valid, and free of fields that no engine takes."""

    model: str
    #: OpenAI's body without `model`, limits and streaming fields.
    body: Mapping[str, Any]
    #: Size in bytes of the JSON that came in, without the pictures in it: an upper bound of the text's tokens.
    body_bytes: int
    stream: bool
    #: Completion tokens per choice that the caller asked for; None when left open.
    max_completion_tokens: int | None
    #: Used where the caller left the limit open; None: the model's own maximum up to the surface's bound.
    default_completion_tokens: int
    #: How many choices.
    choices: int
    #: Whether a stream carries the usage chunk to the caller.
    include_usage: bool
    #: Whether every chunk must have the fields of the seed document's sample.
    seed_fields: bool
    #: The most that the caller lets the call cost, in nano-dollars (`x-max-cost`); None: no cap.
    max_cost_nusd: int | None = None
    images: tuple[ImageInput, ...] = ()
    #: What makes the call the same as an earlier one (`Idempotency-Key`).
    repeatable: Repeatable | None = None

    @property
    def tier(self) -> str | None:
        """The service tier that the caller asks for, where it is not the usual one."""
        asked = self.body.get("service_tier")
        return None if asked in PRICED_FIELDS["service_tier"] else str(asked)


def parse_usage(reported: object) -> Usage | None:
    """Return an engine's `usage` object as `Usage`, or None when it cannot be billed from.

    Negative, fractional, huge or non-numeric counts are not billed from; 0 is a count like any other, and a missing
    count is not 0.
    """
    if not isinstance(reported, dict):
        return None
    prompt, completion = reported.get("prompt_tokens"), reported.get("completion_tokens")
    if not (_is_count(prompt) and _is_count(completion)):
        return None
    cached = min(_detail(reported, "prompt_tokens_details", "cached_tokens"), prompt)
    reasoning = _detail(reported, "completion_tokens_details", "reasoning_tokens")
    if reasoning and reported.get("total_tokens") == prompt + completion + reasoning:
        completion += reasoning  # some providers count their reasoning beside the completion, and charge for both
    return Usage(prompt, completion, reported, cached, min(reasoning, completion))


def _detail(reported: Mapping[str, Any], group: str, name: str) -> int:
    """Return one count of an engine's details; 0 where it has none that can be billed from."""
    details = reported.get(group)
    count = details.get(name) if isinstance(details, dict) else None
    return count if _is_count(count) else 0


def _is_count(value: object) -> TypeGuard[int]:
    """Whether a count can be billed from: a whole number, and no truth value."""
    return type(value) is int and 0 <= value <= MAX_PLAUSIBLE_TOKENS


def usage_object(usage: Usage, cost_usd: float, *, details: bool) -> dict[str, Any]:
    """Return the `usage` object that a caller is shown: counts, the engine's details, and `cost` in USD.

    `details`: add the `*_tokens_details` of the seed document's sample where the engine has none.
    """
    shown: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    reported = usage.reported or {}
    for name, fields in _DETAILS.items():
        own = reported.get(name)
        if isinstance(own, dict) or details:
            shown[name] = {**(fields if details else {}), **(own if isinstance(own, dict) else {})}
    shown["cost"] = cost_usd
    return shown


_DETAILS: Mapping[str, Mapping[str, int]] = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
