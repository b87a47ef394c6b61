"""How this server and its own children that hold a model speak: one order a connection, then frames back (sans I/O).

The order is JSON behind its length; nothing more is sent. Frames are a kind, a length and bytes. Closing the connection
cancels the order. What orders say and what kinds of frames there are: `drawing_wire`, `speech_wire`.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct as Layout
from typing import Generic, TypeVar

import msgspec

#: Before the order: its length in bytes.
LENGTH = Layout(">I")
#: Before a frame's bytes: its kind, and their length.
HEAD = Layout(">BI")

AnyKind = TypeVar("AnyKind", bound=IntEnum)

_encode = msgspec.json.Encoder().encode


class BadOrder(Exception):
    """An order cannot be read, or asks for what is never done; the message names the field."""


class BadFrame(Exception):
    """What came is no frame."""


def order_bytes(order: msgspec.Struct) -> bytes:
    """Return what is sent for an order."""
    content = _encode(order)
    return LENGTH.pack(len(content)) + content


def frame(kind: IntEnum, content: bytes = b"") -> bytes:
    """Return a frame."""
    return HEAD.pack(kind, len(content)) + content


class Frames(Generic[AnyKind]):
    """Cuts what comes, in pieces of any size, into frames."""

    def __init__(self, kinds: type[AnyKind], most_bytes: int) -> None:
        """`most_bytes`: of one frame."""
        self._kinds = kinds
        self._known = frozenset(int(kind) for kind in kinds)
        self._most_bytes = most_bytes
        self._rest = bytearray()

    def receive(self, data: bytes) -> list[tuple[AnyKind, bytes]]:
        """Return the frames that `data` completes. Raises `BadFrame`; then nothing more can be read."""
        self._rest += data
        found = []
        while len(self._rest) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._rest)
            if kind not in self._known or length > self._most_bytes:
                raise BadFrame(f"kind {kind} of {length} bytes")
            end = HEAD.size + length
            if len(self._rest) < end:
                break
            found.append((self._kinds(kind), bytes(self._rest[HEAD.size : end])))
            del self._rest[:end]
        return found
