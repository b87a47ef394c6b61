"""Every error has a word in Anthropic's API, and names the caller's own fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from minitoolai.api.messages.errors import AnthropicErrors
from minitoolai.core.errors import ApiError, EngineRefusedRequest, InsufficientCredit, InvalidValue
from minitoolai.edge.statuses import status_of

#: As documented (docs/reference/errors.md).
BY_STATUS = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 502: "api_error", 503: "overloaded_error",
    504: "timeout_error",
}  # fmt: skip
PLACES = {
    "messages[1]": "messages[0]",
    "messages[1].content[2]": "messages[0].content[0].content[1]",
    "tools[0]": "tools[0]",
}


def shown(error: ApiError) -> dict[str, Any]:
    """The body for an error."""
    found: dict[str, Any] = json.loads(AnthropicErrors(UUID(int=5), PLACES)(error))
    assert (found["type"], found["request_id"]) == ("error", "req_00000000000000000000000000000005")
    return found


def _kinds(above: type[ApiError]) -> Iterator[type[ApiError]]:
    for kind in above.__subclasses__():
        yield kind
        yield from _kinds(kind)


@pytest.mark.parametrize("kind", list(_kinds(ApiError)))
def test_every_status_has_one_type(kind: type[ApiError]) -> None:
    """Programs may go by either."""
    status = status_of(kind.__new__(kind))
    told = AnthropicErrors(UUID(int=5)).shown({"message": "m", "param": None, "code": kind.code})
    assert told["error"] == {"type": BY_STATUS.get(status, "invalid_request_error"), "message": "m"}


@pytest.mark.parametrize(
    ("param", "origin"),
    [
        ("messages[1].content[2].image_url.url", "messages[0].content[0].content[1]"),
        ("messages[1].role", "messages[0]"),
        ("tools[0].function.parameters", "tools[0]"),
        ("max_completion_tokens", "max_tokens"),
        ("stop", "stop_sequences"),
        ("x-max-cost", "x-max-cost"),
        ("messages.[3].role", "messages.[3].role"),
    ],
)
def test_a_field_is_named_as_the_caller_knows_it(param: str, origin: str) -> None:
    """Wherever the core or an engine found fault."""
    assert shown(InvalidValue(param=param, why="no."))["error"]["message"] == f"Invalid value for '{origin}': no."
    refused = EngineRefusedRequest(param=param, model="m", where=f": '{param}'")
    assert f": '{origin}'." in shown(refused)["error"]["message"]


def test_a_remedy_names_its_limit() -> None:
    """`max_tokens`, not what OpenAI calls it."""
    assert "or a smaller max_tokens" in shown(InsufficientCredit(needed="1", available="0"))["error"]["message"]
