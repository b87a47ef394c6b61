"""What a stream is charged by: the engine's usage where it is the last word, else the text that was received."""

from __future__ import annotations

from typing import Any

import pytest

from minitoolai.core.chat_stream import ChatScanner
from minitoolai.core.inference import Usage
from minitoolai.core.sse import event

USAGE = {"prompt_tokens": 3, "completion_tokens": 4}


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None) -> dict[str, Any]:
    """A chunk as most engines send it."""
    choice = {"index": 0, "delta": delta if delta is not None else {}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [choice]}


HELLO = event(chunk({"content": "hello"}))


@pytest.mark.parametrize("seed_fields", [True, False])
def test_usage_before_content_is_not_final(*, seed_fields: bool) -> None:
    """Some tell the prompt's at once, with a first token or none: no more is to be believed once content has come."""
    for first in (chunk({"role": "assistant", "content": ""}), {**chunk(), "choices": []}, chunk({"content": "a"})):
        scanner = ChatScanner(seed_fields=seed_fields)
        scanner.feed(event({**first, "usage": USAGE}))
        assert scanner.final_usage == Usage(3, 4, USAGE)
        scanner.feed(HELLO)
        assert scanner.final_usage is None
        scanner.feed(event({**chunk({"content": "b"}), "usage": USAGE}))
        assert scanner.final_usage == Usage(3, 4, USAGE)


@pytest.mark.parametrize("seed_fields", [True, False])
@pytest.mark.parametrize("last", [{}, {"content": ""}])
def test_the_end_of_a_choice_is_no_content(last: dict[str, Any], *, seed_fields: bool) -> None:
    """Usage that came with the last content is final, also where the choice's end follows."""
    scanner = ChatScanner(seed_fields=seed_fields)
    scanner.feed(HELLO + event({**chunk({"content": "b"}), "usage": USAGE}))
    scanner.feed(event(chunk(last, finish="stop")))
    assert (scanner.final_usage, scanner.chunks) == (Usage(3, 4, USAGE), 2)


def test_calls_of_each_kind_are_counted() -> None:
    """Functions as OpenAI called them first, and tools that take any text."""
    scanner = ChatScanner(seed_fields=False)
    scanner.feed(event(chunk({"function_call": {"name": "f", "arguments": "{}"}})))
    scanner.feed(event(chunk({"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "g", "input": "x"}}]})))
    scanner.feed(event(chunk({"function_call": "x", "tool_calls": [{"custom": 5}]})))
    assert scanner.text() == "f{}gx"
