"""Texts in, vectors out: what an embedding model is asked, and its reply, checked and in the encoding asked for."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from minitoolai.core.inference import Usage, parse_usage
from minitoolai.core.ledger import Repeatable

#: Bytes of one number of a vector in base64: a 32-bit float, little-endian.
NUMBER_BYTES = 4

_encode = msgspec.json.Encoder().encode
_decode_numbers = msgspec.json.Decoder(list[float]).decode
_decode_text = msgspec.json.Decoder(str).decode


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """One call for embeddings: valid, and free of fields that no engine takes."""

    model: str
    #: OpenAI's body without `model`.
    body: Mapping[str, Any]
    #: Its texts, each as text or as tokens of the model's vocabulary.
    inputs: tuple[str | list[int], ...]
    #: Whether `input` is a list of them; otherwise it is one of them.
    listed: bool
    #: Whether the vectors are wanted as base64, not as numbers.
    base64: bool = False
    #: Numbers of each vector; None: as many as the model gives by itself.
    dimensions: int | None = None
    #: The most that the caller lets the call cost, in nano-dollars (`x-max-cost`); None: no cap.
    max_cost_nusd: int | None = None
    #: What makes the call the same as an earlier one (`Idempotency-Key`).
    repeatable: Repeatable | None = None

    def param(self, index: int) -> str:
        """Return the path of a text in the body."""
        return f"input[{index}]" if self.listed else "input"


class _Item(msgspec.Struct):
    index: int
    embedding: msgspec.Raw


class _Reply(msgspec.Struct):
    data: list[_Item]
    model: Any = None
    usage: Any = None


_decode_reply = msgspec.json.Decoder(_Reply).decode


@dataclass(frozen=True, slots=True)
class Embedded:
    """An engine's whole reply."""

    #: JSON of each vector, in the order of the texts.
    vectors: tuple[msgspec.Raw, ...]
    #: The model's name as the engine says it.
    model: str | None
    #: Tokens that the engine reports; None: none that can be billed from.
    usage: Usage | None

    def body(self, model: str, tokens: int, cost_usd: float) -> bytes:
        """Return OpenAI's reply, its usage with the cost."""
        items = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(self.vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "cost": cost_usd}
        return _encode({"object": "list", "data": items, "model": self.model or model, "usage": usage})


def read_reply(raw: bytes, request: EmbeddingRequest) -> Embedded:
    """Return an engine's reply, its vectors in the encoding asked for, whichever it chose.

    Raises `ValueError` unless it has one vector for each text, all of the same size, the one asked for, and finite.
    """
    try:
        return _read(_decode_reply(raw), request)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _read(reply: _Reply, request: EmbeddingRequest) -> Embedded:
    by_index = {item.index: item.embedding for item in reply.data}
    if len(reply.data) != len(request.inputs) or by_index.keys() != set(range(len(request.inputs))):
        raise ValueError("it does not have one vector for each text")
    found = [_read_vector(bytes(by_index[at]), as_base64=request.base64) for at in range(len(by_index))]
    sizes = {size for _, size in found}
    if len(sizes) != 1 or not sizes <= ({request.dimensions} if request.dimensions else sizes - {0}):
        raise ValueError("its vectors are not of the size asked for")
    name = reply.model if isinstance(reply.model, str) else None
    return Embedded(tuple(vector for vector, _ in found), name, _usage(reply.usage))


def _usage(reported: Any) -> Usage | None:
    """Return what can be billed from: embedding writes no tokens, so that none are reported."""
    return parse_usage({**reported, "completion_tokens": 0}) if isinstance(reported, dict) else None


def _read_vector(raw: bytes, *, as_base64: bool) -> tuple[msgspec.Raw, int]:
    """Return a vector's JSON in the encoding asked for, and its size. Raises `ValueError`."""
    if raw.startswith(b'"'):
        packed = base64.b64decode(_decode_text(raw), validate=True)
        numbers = _unpack(packed)
        return msgspec.Raw(raw if as_base64 else _encode(numbers)), len(numbers)
    numbers = _decode_numbers(raw)
    return msgspec.Raw(_encode(_pack(numbers)) if as_base64 else raw), len(numbers)


def _pack(numbers: Sequence[float]) -> str:
    try:
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
    except OverflowError as error:
        raise ValueError("a number is beyond 32 bits") from error
    return binascii.b2a_base64(packed, newline=False).decode()


def _unpack(packed: bytes) -> Sequence[float]:
    if len(packed) % NUMBER_BYTES:
        raise ValueError("a vector is cut short")
    numbers = struct.unpack(f"<{len(packed) // NUMBER_BYTES}f", packed)
    if not math.isfinite(sum(numbers)):
        raise ValueError("a number is not finite")
    return numbers
