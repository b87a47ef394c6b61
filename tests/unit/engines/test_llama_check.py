"""What llama.cpp would leave out without a word is refused with a remedy, before anything is held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from minitoolai.core.catalog import ChatModel, EmbeddingModel
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import InvalidValue
from minitoolai.core.inference import ChatRequest
from minitoolai.core.pricing import TokenPrices
from minitoolai.engines.llama import LlamaChat
from minitoolai.engines.llama_embeddings import LlamaEmbeddings

CHAT = ChatModel("m", TokenPrices(1, 1), 1000, 500, engine="l")
EMBEDS = EmbeddingModel("e", TokenPrices(1, 0), 10, engine="l", dimensions=64)
ASKED = ChatRequest(
    "m", {}, body_bytes=1, stream=False, max_completion_tokens=1, default_completion_tokens=1, choices=1,
    include_usage=False, seed_fields=False,
)  # fmt: skip
TEXT = EmbeddingRequest("e", {"input": "a"}, ("a",), listed=False)


@pytest.mark.parametrize(
    ("body", "param", "remedy"),
    [
        ({"functions": [{"name": "f"}]}, "functions", "Send 'tools'"),
        ({"function_call": "auto"}, "function_call", "Send 'tool_choice'"),
        ({"top_logprobs": 3}, "top_logprobs", '"logprobs": true'),
        ({"top_logprobs": 3, "logprobs": False}, "top_logprobs", '"logprobs": true'),
    ],
)
def test_what_a_local_model_does_not_take(body: dict[str, Any], param: str, remedy: str) -> None:
    """The field is named, and what to send instead."""
    with pytest.raises(InvalidValue) as caught:
        LlamaChat.check(cast(Any, None), CHAT, replace(ASKED, body=body))
    assert caught.value.param == param
    assert remedy in caught.value.message


@pytest.mark.parametrize(
    "body", [{}, {"tools": [], "tool_choice": "auto"}, {"top_logprobs": 0}, {"logprobs": True, "top_logprobs": 3}]
)
def test_what_a_local_model_takes(body: dict[str, Any]) -> None:
    """Tools in their present form, log-probabilities that were asked for."""
    LlamaChat.check(cast(Any, None), CHAT, replace(ASKED, body=body))


@pytest.mark.parametrize(
    ("declared", "asked", "fine"), [(64, None, True), (64, 64, True), (64, 32, False), (None, 64, False)]
)
def test_dimensions(declared: int | None, asked: int | None, *, fine: bool) -> None:
    """Only the model's own: llama.cpp gives vectors as they are."""
    model, request = replace(EMBEDS, dimensions=declared), replace(TEXT, dimensions=asked)
    if fine:
        LlamaEmbeddings.check(cast(Any, None), model, request)
        return
    with pytest.raises(InvalidValue) as caught:
        LlamaEmbeddings.check(cast(Any, None), model, request)
    assert caught.value.param == "dimensions"
