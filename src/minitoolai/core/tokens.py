"""Counting tokens: a cheap upper bound from bytes, and the exact count where the bound is too coarse.

The exact count is OpenAI's o200k_base (GPT-4o, GPT-4.1 families) with their published overhead per message
(https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken). For other engines it is an estimate; the
charge uses the engine's own usage wherever there is one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

#: Tokens around each message, and once around the whole prompt (the cookbook's figures).
TOKENS_PER_MESSAGE = 3
TOKENS_PER_NAME = 1
TOKENS_PER_PROMPT = 3
#: OpenAI's vocabularies: of the models that chat, and of those that embed.
O200K = "o200k_base"
CL100K = "cl100k_base"
#: Tokens that a model of another vocabulary may put around a text that it embeds: one before, one behind, as BERT does,
#: and a leading space.
TOKENS_AROUND_TEXT = 3
#: Room for what a provider wraps around tools and schemas beyond their own JSON.
PROMPT_OVERHEAD_TOKENS = 16
#: A token stands for four to five characters of plain English, fewer of anything else.
CHARACTERS_PER_TOKEN = 5
#: Texts are counted in pieces, so that no limit of the tokenizer's is met; a seam adds one token at most.
MAX_PIECE_CHARACTERS = 50_000

_encode = msgspec.json.Encoder().encode


def prompt_tokens_bound(body_bytes: int) -> int:
    """Return an upper bound of the prompt tokens of a chat body of `body_bytes` bytes of JSON.

    A byte-level token stands for at least one byte, and the JSON around a message is longer than its overhead.
    """
    return body_bytes + PROMPT_OVERHEAD_TOKENS


def prompt_tokens_floor(body: Mapping[str, Any]) -> int:
    """Return a quick estimate of a chat body's prompt tokens that is seldom above them."""
    texts = (text for message in body.get("messages", ()) for name in message for text in _texts(name, message[name]))
    return sum(len(text) for text in texts) // CHARACTERS_PER_TOKEN


def count_text(text: str, vocabulary: str = O200K) -> int:
    """Return the number of tokens of `text` in one of OpenAI's vocabularies."""
    pieces = (text[start : start + MAX_PIECE_CHARACTERS] for start in range(0, len(text), MAX_PIECE_CHARACTERS))
    return sum(_encoding(vocabulary).count(piece) for piece in pieces)


def count_prompt(body: Mapping[str, Any]) -> int:
    """Return the prompt tokens of an OpenAI chat body: its messages, tools and schema."""
    tokens = TOKENS_PER_PROMPT
    for message in body.get("messages", ()):
        tokens += TOKENS_PER_MESSAGE
        for name, value in message.items():
            tokens += count_text("".join(_texts(name, value)))
            if name == "name":
                tokens += TOKENS_PER_NAME
    for name in ("tools", "functions", "response_format"):
        if body.get(name):
            tokens += PROMPT_OVERHEAD_TOKENS + count_text(_encode(body[name]).decode())
    return tokens


def _texts(name: str, value: object) -> Iterable[str]:
    """Yield the texts of one field of a message that a model reads."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and name == "content":
        for part in value:
            text = part.get("text") or part.get("refusal")
            if isinstance(text, str):
                yield text
    elif value is not None:
        yield _encode(value).decode()


@cache
def _encoding(vocabulary: str) -> Any:
    return _bindings().tokenizer_for_encoding(vocabulary)


@cache
def _bindings() -> Any:
    # The package's own import builds Python dictionaries of all its vocabularies: 0.65 s with the interpreter held and
    # 142 MB. Its native half alone takes 0.06 s and 68 MB.
    package = importlib.util.find_spec("bpe_openai")
    assert package is not None
    assert package.origin is not None
    found = Path(package.origin).parent.glob("_bindings.*")
    file = next(path for path in found if path.suffix != ".pyi")
    native = importlib.util.spec_from_file_location("bpe_openai._bindings", file)
    assert native is not None
    assert native.loader is not None
    module = importlib.util.module_from_spec(native)
    native.loader.exec_module(module)
    return module
