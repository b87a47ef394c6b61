"""Errors as Anthropic's clients read them (docs/reference/errors.md), and the request id under the name they look for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from minitoolai.api.bodies import origin_of
from minitoolai.core.errors import ApiError
from minitoolai.core.ids import request_id
from minitoolai.edge.exchange import Exchange

#: Fields of the chat body under another name in Anthropic's.
_FIELDS: Mapping[str, str] = {
    "max_completion_tokens": "max_tokens",
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
#: Anthropic's word for our codes (https://platform.claude.com/docs/en/api/errors); every other is a bad request.
ERROR_TYPES: Mapping[str, str] = {
    "invalid_api_key": "authentication_error",
    "insufficient_credit": "billing_error",
    "permission_denied": "permission_error",
    "model_not_found": "not_found_error",
    "not_found": "not_found_error",
    "request_too_large": "request_too_large",
    "rate_limit_exceeded": "rate_limit_error",
    "server_error": "api_error",
    "upstream_error": "api_error",
    "service_unavailable": "overloaded_error",
    "upstream_timeout": "timeout_error",
}
_BAD_REQUEST = "invalid_request_error"
#: What else programs are told of a field at fault: Anthropic's runner of tools then sends whole conversations.
_DETAILS: Mapping[str, Mapping[str, str]] = {"thread": {"error_code": "thread_unsupported_request"}}

_encode = msgspec.json.Encoder().encode


class AnthropicErrors:
    """Writes the errors of one call."""

    def __init__(self, call_id: UUID, places: Mapping[str, str] | None = None) -> None:
        """`places`: paths of the chat body, each with the caller's own for it."""
        self._request_id = request_id(call_id)
        self._places = {**_FIELDS, **(places or {})}

    def __call__(self, error: ApiError) -> bytes:
        """Return `error` as a body."""
        return _encode(self.shown(error.shown()["error"]))

    def shown(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Return OpenAI's `error` object as Anthropic's body, in the words of Anthropic's fields."""
        message, param = str(error["message"]), error.get("param")
        if param:
            message = message.replace(f"'{param}'", f"'{origin_of(param, self._places)[0] or param}'")
        message = message.replace("max_completion_tokens", "max_tokens")
        kind = ERROR_TYPES.get(str(error["code"]), _BAD_REQUEST)
        told: dict[str, Any] = {"type": kind, "message": message}
        if details := _DETAILS.get(param or ""):
            told["details"] = details
        return {"type": "error", "error": told, "request_id": self._request_id}


def anthropic_types(codes: Iterable[str]) -> set[str]:
    """Return Anthropic's words for these codes of ours."""
    return {ERROR_TYPES.get(code, _BAD_REQUEST) for code in codes}


def speak_anthropic(exchange: Exchange) -> None:
    """Let whatever becomes of an exchange be told as Anthropic tells it."""
    exchange.error_shape = AnthropicErrors(exchange.call_id)
    exchange.headers.append((b"request-id", request_id(exchange.call_id).encode()))
