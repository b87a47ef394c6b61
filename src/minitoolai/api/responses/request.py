"""What a Responses body asks for: a chat body, and what its response repeats (docs/reference/responses.md)."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from minitoolai.api.responses.body import (
    AllowedTools,
    FunctionChoice,
    FunctionTool,
    JsonFormat,
    ResponsesBody,
    SchemaFormat,
    responses_body,
)
from minitoolai.api.responses.input import chat_messages
from minitoolai.api.responses.origins import Origins
from minitoolai.core.errors import InvalidValue

#: The one value of `include` that asks for something a chat reply has.
_LOGPROBS = "message.output_text.logprobs"
#: Fields that mean the same in both bodies.
_SAME = ("model", "stream", "temperature", "top_p", "user", "safety_identifier", "prompt_cache_key", "service_tier")
#: Fields that change nothing here, with the values that ask for what happens anyway.
_WITHOUT_EFFECT: dict[str, tuple[object, ...]] = {
    "store": (None, False),
    "max_tool_calls": (None,),
    "stream_options": (None, {}, {"include_obfuscation": False}),
}
_READ = frozenset(ResponsesBody.__struct_fields__) | {"previous_response_id", "conversation", "prompt"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the Responses API, translated."""

    #: OpenAI's chat body.
    chat: dict[str, Any]
    #: The fields of the request that its response repeats.
    repeated: dict[str, Any]
    origins: Origins
    #: Names of fields of the request that change nothing.
    ignored: list[str]


def asked_response(fields: dict[str, Any]) -> Asked:
    """Translate the Responses body `fields`. Raises `InvalidValue` with the field's path."""
    body = responses_body(fields)
    origins = Origins()
    chat: dict[str, Any] = {name: fields[name] for name in _SAME if fields.get(name) is not None}
    chat["messages"] = chat_messages(body, origins)
    if body.stream:
        chat["stream_options"] = {"include_usage": True}
    if body.max_output_tokens is not None:
        chat["max_completion_tokens"] = body.max_output_tokens
    if body.reasoning is not None and body.reasoning.effort is not None:
        chat["reasoning_effort"] = body.reasoning.effort
    if _LOGPROBS in (body.include or ()):
        chat["logprobs"] = True
        if body.top_logprobs:
            chat["top_logprobs"] = body.top_logprobs
    chat.update(_text(body))
    chat.update(_tools(body))
    return Asked(chat, _repeated(body, fields), origins, _ignored(body, fields))


def _text(body: ResponsesBody) -> dict[str, Any]:
    chat: dict[str, Any] = {}
    text = body.text
    if text is not None and text.verbosity is not None:
        chat["verbosity"] = text.verbosity
    if text is not None and isinstance(text.format, JsonFormat):
        chat["response_format"] = {"type": "json_object"}
    if text is not None and isinstance(text.format, SchemaFormat):
        schema = _given(text.format, ("name", "description", "schema", "strict"))
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def _tools(body: ResponsesBody) -> dict[str, Any]:
    """Return the fields of tools; a choice among none is left out, since OpenAI's chat refuses it."""
    tools, choice = body.tools or [], body.tool_choice
    chat: dict[str, Any] = {}
    if isinstance(choice, AllowedTools):
        tools = _allowed(tools, choice)
        chat["tool_choice"] = choice.mode
    elif isinstance(choice, FunctionChoice):
        _check_offered({tool.name for tool in tools}, choice.name, "tool_choice.name")
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice is not None:
        if choice == "required" and not tools:
            raise InvalidValue(param="tool_choice", why="'required' needs tools. Send some, or 'auto'.")
        chat["tool_choice"] = choice
    if not tools:
        return {}
    if body.parallel_tool_calls is not None:
        chat["parallel_tool_calls"] = body.parallel_tool_calls
    names = ("name", "description", "parameters", "strict")
    chat["tools"] = [{"type": "function", "function": _given(tool, names)} for tool in tools]
    return chat


def _allowed(tools: Sequence[FunctionTool], choice: AllowedTools) -> list[FunctionTool]:
    """Return the tools that `choice` leaves: only these are offered, since few engines know the choice itself."""
    offered = {tool.name for tool in tools}
    for index, tool in enumerate(choice.tools):
        _check_offered(offered, tool.name, f"tool_choice.tools[{index}].name")
    names = {tool.name for tool in choice.tools}
    if not names:
        raise InvalidValue(param="tool_choice.tools", why="it allows no tool. Send some, or 'none' as tool_choice.")
    return [tool for tool in tools if tool.name in names]


def _check_offered(offered: Set[str], name: str, param: str) -> None:
    if name not in offered:
        raise InvalidValue(param=param, why="tools holds no function of this name.")


def _given(struct: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(struct, name)) is not None}


def _repeated(body: ResponsesBody, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a response repeats, as OpenAI's do, what was left open filled in."""
    text, reasoning = body.text, body.reasoning
    form = (fields.get("text") or {}).get("format") or {"type": "text"}
    return {
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": None,
        "metadata": body.metadata or {},
        "model": body.model,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": reasoning.effort if reasoning else None, "summary": None},
        "safety_identifier": body.safety_identifier,
        "store": False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": {"format": form, "verbosity": (text.verbosity if text else None) or "medium"},
        "tool_choice": fields.get("tool_choice") or "auto",
        "tools": fields.get("tools") or [],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": "disabled",
        "user": body.user,
    }


def _ignored(body: ResponsesBody, fields: dict[str, Any]) -> list[str]:
    names = [name for name in fields if name not in _READ and name not in _WITHOUT_EFFECT]
    names += [name for name, usual in _WITHOUT_EFFECT.items() if fields.get(name) not in usual]
    if any(value != _LOGPROBS for value in body.include or ()):
        names.append("include")
    if body.top_logprobs and _LOGPROBS not in (body.include or ()):
        names.append("top_logprobs")
    if body.reasoning is not None:
        names += [f"reasoning.{name}" for name in ("summary", "generate_summary") if getattr(body.reasoning, name)]
    return names
