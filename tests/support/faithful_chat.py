"""What OpenAI answers to a chat body, or refuses: published behaviour without a network and without chance.

A user's message is answered by what it says; offered tools are called when a user has just spoken, and what they found
is told; a schema is filled; images are described. `FaithfulUpstream` sends what is decided here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from minitoolai.core.tokens import count_prompt, count_text
from tests.support.faithful_values import describe_image, fitting, image_parts, image_tokens, tokens_of

#: Tokens of context by model; reasoning models are those with an `o` first.
CONTEXT_TOKENS: Mapping[str, int] = {
    "gpt-4o-mini": 128_000, "gpt-4o": 128_000, "gpt-4.1": 1_047_576, "gpt-4.1-mini": 1_047_576,
    "gpt-4.1-nano": 1_047_576, "o4-mini": 200_000,
}  # fmt: skip
#: Tokens of reasoning before an answer, by `reasoning_effort`.
REASONING_TOKENS: Mapping[str, int] = {"minimal": 0, "low": 16, "medium": 64, "high": 256}
#: A prompt is cached from so many tokens on, in steps (https://platform.openai.com/docs/guides/prompt-caching).
CACHED_FROM, CACHED_STEP = 1024, 128
_KNOWN = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
        "max_tokens", "messages", "metadata", "modalities", "model", "n", "parallel_tool_calls", "prediction",
        "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format",
        "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
        "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
    }
)  # fmt: skip


@dataclass(eq=False)
class Refusal(Exception):
    """A call that is refused, as OpenAI words it."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    #: Seconds, as a header of the reply.
    retry_after: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The reply's JSON."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


@dataclass
class ToolCall:
    """One call of a tool."""

    id: str
    name: str
    #: The arguments' JSON, token by token.
    arguments: list[str]

    @property
    def whole(self) -> dict[str, Any]:
        """The call as a whole reply shows it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": "".join(self.arguments)}}


@dataclass
class Answer:
    """One choice."""

    #: The text, token by token.
    tokens: list[str]
    calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = "stop"
    #: Tokens of reasoning that came first.
    reasoning_tokens: int = 0

    @property
    def completion_tokens(self) -> int:
        """What this choice is billed."""
        called = sum(len(call.arguments) + count_text(call.name) for call in self.calls)
        return self.reasoning_tokens + len(self.tokens) + called


def check(body: Mapping[str, Any]) -> None:
    """Raise `Refusal` for what OpenAI refuses."""
    unknown = sorted(body.keys() - _KNOWN)
    if unknown:
        raise Refusal(400, f"Unrecognized request argument supplied: {unknown[0]}")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter")
    if model not in CONTEXT_TOKENS:
        text = f"The model `{model}` does not exist or you do not have access to it."
        raise Refusal(404, text, code="model_not_found")
    if not body.get("messages"):
        raise Refusal(400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    if is_reasoning(model):
        for name in ("max_tokens", "logprobs", "top_logprobs"):
            if body.get(name) is not None:
                text = f"Unsupported parameter: '{name}' is not supported with this model."
                raise Refusal(400, text, param=name, code="unsupported_parameter")
    if body.get("top_logprobs") and not body.get("logprobs"):
        raise Refusal(400, "Invalid value for 'top_logprobs': 'logprobs' must be true.", param="top_logprobs")
    if body.get("stream_options") and not body.get("stream"):
        raise Refusal(400, "'stream_options' is only allowed when 'stream' is enabled.", param="stream_options")
    if body.get("tool_choice") and not body.get("tools"):
        raise Refusal(400, "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
                      param="tool_choice")  # fmt: skip
    _check_schema(body)
    _check_tool_messages(body["messages"])
    if prompt_tokens(body) + (body.get("max_completion_tokens") or 0) > CONTEXT_TOKENS[model]:
        text = f"This model's maximum context length is {CONTEXT_TOKENS[model]} tokens. Please reduce the messages."
        raise Refusal(400, text, param="messages", code="context_length_exceeded")


def _check_schema(body: Mapping[str, Any]) -> None:
    asked = body.get("response_format") or {}
    schema = asked.get("json_schema", {})
    if asked.get("type") == "json_schema" and not schema.get("name"):
        text = "Missing required parameter: 'response_format.json_schema.name'."
        raise Refusal(400, text, param="response_format.json_schema.name", code="missing_required_parameter")
    if schema.get("strict"):
        inner = schema["schema"]
        if inner.get("additionalProperties") is not False or set(inner.get("required", ())) != set(inner["properties"]):
            text = (
                f"Invalid schema for response_format '{schema['name']}': In context=(), 'additionalProperties' is required"
            )
            raise Refusal(400, f"{text} to be supplied and to be false.", param="response_format")


def _check_tool_messages(messages: list[dict[str, Any]]) -> None:
    """Every call of a tool is answered at once, and nothing else is."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                raise Refusal(400, f"Invalid parameter: {text}", param=f"messages.[{index}].role")
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    if open_calls:
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
        raise Refusal(400, text, param="messages")


def is_reasoning(model: str) -> bool:
    """Whether it thinks before it answers."""
    return model.startswith("o")


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """Return what the prompt is billed: OpenAI's published count, images included."""
    images = sum(image_tokens(body["model"], image) for image in image_parts(body["messages"]))
    return count_prompt(body) + images


def cached_tokens(body: Mapping[str, Any], earlier: list[str]) -> int:
    """Return how much of the prompt an earlier one began with; `earlier`: their texts by `prompt_text`."""
    text = prompt_text(body)
    longest = max((_same(text, other) for other in earlier), default=0)
    tokens = count_text(text[:longest])
    return tokens // CACHED_STEP * CACHED_STEP if tokens >= CACHED_FROM else 0


def prompt_text(body: Mapping[str, Any]) -> str:
    """Return the prompt as one text, of which an equal beginning is cached."""
    return "\n".join(f"{message['role']}: {_said(message)}" for message in body["messages"])


def _same(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def answers(body: Mapping[str, Any], text: str | None = None) -> list[Answer]:
    """Return the choices; `text` replaces what would be said where no tool is called."""
    return [_answer(body, text) for _ in range(body.get("n") or 1)]


def _answer(body: Mapping[str, Any], text: str | None) -> Answer:
    effort = body.get("reasoning_effort") or "medium"
    reasoning = REASONING_TOKENS[effort] if is_reasoning(body["model"]) else 0
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or 16_384
    calls = list(_calls(body))
    if calls:
        return Answer([], calls, "tool_calls", reasoning)
    said = _text(body) if text is None else text
    for stop in [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop") or ():
        said = said.split(stop)[0]
    tokens = tokens_of(said)
    if reasoning + len(tokens) > limit:
        reasoning = min(reasoning, limit)
        return Answer(tokens[: limit - reasoning], finish_reason="length", reasoning_tokens=reasoning)
    return Answer(tokens, reasoning_tokens=reasoning)


def _calls(body: Mapping[str, Any]) -> Iterator[ToolCall]:
    """Yield the tools that the user's last message names, or the first; the chosen one where one was chosen."""
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    choice = body.get("tool_choice") or "auto"
    last = body["messages"][-1]
    if not tools or choice == "none" or last["role"] != "user":
        return
    names = [name for name in tools if name in _said(last)] or list(tools)[:1]
    if isinstance(choice, dict):
        names = [choice["function"]["name"]]
    if body.get("parallel_tool_calls") is False:
        names = names[:1]
    for number, name in enumerate(names):
        arguments = json.dumps(fitting(tools[name].get("parameters") or {"type": "object"}))
        yield ToolCall(f"call_{number}{name}"[:40], name, tokens_of(arguments))


def _text(body: Mapping[str, Any]) -> str:
    asked = body.get("response_format") or {"type": "text"}
    if asked["type"] == "json_schema":
        return json.dumps(fitting(asked["json_schema"]["schema"]))
    if asked["type"] == "json_object":
        return json.dumps({"you_said": _said(body["messages"][-1])})
    results = []
    for message in reversed(body["messages"]):
        if message["role"] != "tool":
            break
        results.append(_said(message))
    if results:
        return f"The tools found: {'; '.join(reversed(results))}."
    seen = [describe_image(image) for image in image_parts(body["messages"])]
    images = f" I see {len(seen)}: {', '.join(seen)}." if seen else ""
    return f"You said: {_said(body['messages'][-1])}{images}"


def _said(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""
