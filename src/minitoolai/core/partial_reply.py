"""What can be read of a whole reply that was cut off anywhere, sans I/O.

The cut JSON is completed: what was begun is ended, or becomes null where nothing is known of it. Then it is read as any
other reply is.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from minitoolai.core.chat_stream import delta_texts

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
#: A whole string, once its escapes are gone.
_STRING = re.compile(rb'"[^"]*"')
#: Stands for a string where only the shape matters: a byte that JSON has nowhere.
_ANY_STRING = b"\x00"
#: An escape cut in half; also the first of two that are one character, whatever there is of the second.
_HALF_ESCAPE = re.compile(
    rb"(?<!\\)((?:\\\\)*)\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?))?\Z"
)
#: No half escape is longer.
_HALF_ESCAPE_BYTES = 11
#: A number or a word, which may go on; none that means something is longer.
_MAX_WORD_BYTES = 64
_WORD = re.compile(rb"[^\s\x00{}\[\]:,]+\Z")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")
_CLOSING = bytes.maketrans(b"{[", b"}]")
#: Containers within each other at most; a chat completion has about eight.
_MAX_DEPTH = 100


class _Choice(msgspec.Struct):
    message: Any = None


class _Reply(msgspec.Struct):
    """What matters of a reply: log-probabilities may be a hundred times as long as what was written."""

    choices: list[_Choice] = []


_decode = msgspec.json.Decoder(_Reply).decode


def partial_texts(raw: bytes) -> list[str]:
    """Return the texts that the engine wrote in a `chat.completion` of which only `raw` came.

    They are those of `delta_texts`, each a beginning of the whole reply's; none where `raw` begins no JSON.
    """
    try:
        reply = _decode(_completed(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return delta_texts({"choices": [{"message": choice.message} for choice in reply.choices]})


def _completed(raw: bytes) -> bytes:
    """Return JSON that was cut off, with an end."""
    shape = _STRING.sub(_ANY_STRING, _ESCAPE.sub(b"", raw))
    cut = shape.find(b'"')
    if cut >= 0:
        raw, shape = _whole_characters(raw) + b'"', shape[:cut] + _ANY_STRING
    raw, shape = raw.rstrip(), shape.rstrip()
    opened = _opened(shape)
    if word := _WORD.search(shape, max(0, len(shape) - _MAX_WORD_BYTES)):
        raw = raw[: -len(word[0])] + b"null"
    elif shape.endswith(b":"):
        raw += b"null"
    elif shape.endswith(b","):
        raw = raw[:-1]
    elif shape.endswith(_ANY_STRING) and opened.endswith(b"{") and not shape[:-1].rstrip().endswith(b":"):
        raw += b":null"
    return raw + opened[::-1].translate(_CLOSING)


def _whole_characters(raw: bytes) -> bytes:
    """Return what ends within a string without a character cut in half: its bytes, or its escapes."""
    raw = raw.decode(errors="ignore").encode()
    # Where a run of backslashes begins decides which of them escape.
    start = len(raw[:-_HALF_ESCAPE_BYTES].rstrip(b"\\"))
    return raw[:start] + _HALF_ESCAPE.sub(rb"\1", raw[start:])


def _opened(shape: bytes) -> bytes:
    """Return the brackets that are open at the end of `shape`, in order."""
    brackets = shape.translate(None, _NO_BRACKETS)
    for _ in range(_MAX_DEPTH):
        left = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(left) == len(brackets):
            break
        brackets = left
    return brackets
