"""How a gateway and the sounds child speak: a sound behind its length; a verdict comes back (sans I/O)."""

from __future__ import annotations

from enum import IntEnum, unique
from struct import Struct

#: After the verdict `LENGTH`: milliseconds.
MILLISECONDS = Struct(">Q")


@unique
class Verdict(IntEnum):
    """What became of a sound; sent as a frame of `core.child_wire`."""

    #: It was measured; `MILLISECONDS` follow.
    LENGTH = 0
    #: It cannot be read, or there is no sound in it.
    DAMAGED = 1
    #: It is longer than it may be, or takes more memory or time to read.
    TOO_LONG = 2
