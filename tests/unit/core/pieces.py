"""Streams with other line ends and in other pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def with_ends(stream: bytes, end: bytes) -> bytes:
    """The same stream with other line ends."""
    return stream.replace(b"\n", end)


def cut(stream: bytes, *borders: int) -> Iterator[bytes]:
    """`stream` in pieces."""
    places = [0, *sorted(borders), len(stream)]
    for begin, end in itertools.pairwise(places):
        yield stream[begin:end]
