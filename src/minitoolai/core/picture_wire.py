"""How a gateway and the pictures child speak: one picture a connection, lengths before bytes (sans I/O)."""

from __future__ import annotations

from enum import IntEnum, unique
from struct import Struct

#: Before the picture: its length in bytes.
REQUEST = Struct(">I")
#: Before the answer's bytes: the verdict, and their length.
REPLY = Struct(">BI")


@unique
class Verdict(IntEnum):
    """What became of a picture."""

    #: Encoded anew; its bytes follow.
    PNG = 0
    JPEG = 1
    #: It cannot be decoded.
    DAMAGED = 2
    #: It takes more pixels, memory or time than it may.
    TOO_LARGE = 3


#: The media type of each verdict that bytes follow.
MEDIA_TYPES = {Verdict.PNG: "image/png", Verdict.JPEG: "image/jpeg"}


def request(picture: bytes) -> bytes:
    """Return what is sent for a picture."""
    return REQUEST.pack(len(picture)) + picture


def reply(verdict: Verdict, picture: bytes = b"") -> bytes:
    """Return what is answered."""
    return REPLY.pack(verdict, len(picture)) + picture
