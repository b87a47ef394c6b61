"""What a model file of ONNX takes, read from the file without loading what it has learned.

The format is protocol buffers (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto,
https://protobuf.dev/programming-guides/encoding): numbered fields, skipped by their lengths.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

#: Numbers of the fields on the way to the name of an input: of ModelProto, GraphProto and ValueInfoProto.
_GRAPH, _INPUT, _NAME = 7, 11, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
#: Bits of the longest varint, rounded up to whole sevens.
_VARINT_BITS = 70


class NotOnnx(Exception):
    """A file is no model of ONNX, or only part of one; the message says why."""


def inputs(path: Path) -> frozenset[str]:
    """Return the names of a graph's inputs, those with a value of their own included. Raises `NotOnnx`, `OSError`."""
    if path.stat().st_size == 0:
        raise NotOnnx("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graphs = [span for number, span in _fields(content, 0, len(content)) if number == _GRAPH]
        if not graphs:
            raise NotOnnx("it holds no graph")
        begin, end = graphs[-1]
        names = set()
        for number, (first, last) in _fields(content, begin, end):
            if number == _INPUT:
                names |= {bytes(content[a:b]) for field, (a, b) in _fields(content, first, last) if field == _NAME}
        return frozenset(name.decode(errors="replace") for name in names)


def _fields(content: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield the number of each field that holds bytes, and where they are. Raises `NotOnnx`."""
    at = begin
    while at < end:
        tag, at = _varint(content, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, at = _varint(content, at, end)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, at = _varint(content, at, end)
            if length > end - at:
                raise NotOnnx("it is cut off")
            yield number, (at, at + length)
            at += length
        else:
            raise NotOnnx("it is something else")
        if number == 0 or at > end:
            raise NotOnnx("it is something else")


def _varint(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _VARINT_BITS, 7):
        if at >= end:
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotOnnx("it is cut off")
