"""How a gateway and the pictures child speak: a picture behind its length; a verdict comes back (sans I/O)."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Verdict(IntEnum):
    """What became of a picture; sent as a frame of `core.child_wire`."""

    #: Encoded anew; its bytes follow.
    PNG = 0
    JPEG = 1
    #: It cannot be decoded.
    DAMAGED = 2
    #: It takes more pixels, memory or time than it may.
    TOO_LARGE = 3


#: The media type of each verdict that bytes follow.
MEDIA_TYPES = {Verdict.PNG: "image/png", Verdict.JPEG: "image/jpeg"}
