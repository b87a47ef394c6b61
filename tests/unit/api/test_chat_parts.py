"""Parts go out with the fields that are known; what is dropped is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minitoolai.api.chat_parts import keep_known_fields
from minitoolai.api.chat_request import OPENAI, chat_request

CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TEXT = {"type": "text", "text": "a long prompt"}
IMAGE = {"url": "https://example.com/a.png", "detail": "low"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"cache_control": {"type": "string"}}}}}


def body(**fields: Any) -> dict[str, Any]:
    """A body of every kind of part."""
    messages = [
        {"role": "user", "content": [dict(TEXT), {"type": "image_url", "image_url": dict(IMAGE)}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "reasoning_content": "hm"},
        {"role": "user", "content": "cache_control"},
    ]
    return {"model": "gpt-4o", "messages": messages, "tools": [copy.deepcopy(TOOL)], **fields}


def test_what_is_known_goes_out_as_it_came() -> None:
    """A tool's own parameters and a message's reasoning among it."""
    fields = body()
    assert keep_known_fields(fields) == set()
    assert fields == body()
    assert keep_known_fields({"messages": [{"role": "assistant", "content": None}], "tools": None}) == set()


@pytest.mark.parametrize(
    "place",
    [
        lambda fields: fields["messages"][0]["content"][0],
        lambda fields: fields["messages"][0]["content"][1],
        lambda fields: fields["messages"][0]["content"][1]["image_url"],
        lambda fields: fields["messages"][1]["content"][0],
        lambda fields: fields["messages"][2],
        lambda fields: fields["tools"][0],
        lambda fields: fields["tools"][0]["function"],
    ],
)
def test_a_cache_control_goes_nowhere(place: Any) -> None:
    """Wherever a provider would take it: writing its cache costs more than input."""
    fields = body()
    place(fields).update(CACHED)
    request, ignored = chat_request(fields, 1000, OPENAI)
    assert ignored == "cache_control"
    assert request.body == {name: value for name, value in body().items() if name != "model"}


def test_unknown_fields_of_parts_are_dropped_and_named() -> None:
    """Beside those of the body; a part has no other kind's fields either."""
    fields = body(temperatur=1)
    fields["messages"][0]["content"][0].update({"refusal": "x", "annotations": []})
    fields["messages"][0]["content"][1]["image_url"].update({"format": "png"})
    request, ignored = chat_request(fields, 1000, OPENAI)
    assert ignored == "annotations, format, refusal, temperatur"
    assert request.body["messages"] == body()["messages"]
