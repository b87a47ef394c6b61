"""What the child and its mouth say to each other: an inventory at the start, then one utterance a connection.

By the mouth's standard input, a socket, the child hands over one end of a new connection for each utterance. By that comes
the `Utterance` as `child_wire` has orders, and back come frames; without `SPOKEN` at its end the library did not survive.
"""

from __future__ import annotations

from enum import IntEnum, unique

import msgspec

from minitoolai.children.espeak.native import NativeVoice

#: Of the frames of one utterance: some seconds of samples.
MAX_FRAME_BYTES = 1024 * 1024
#: Of an utterance, and of an inventory.
MAX_MESSAGE_BYTES = 1024 * 1024


@unique
class Said(IntEnum):
    """What a frame says."""

    #: Samples: 16 bits each, little-endian, one channel.
    SAMPLES = 0
    #: All is said; the last frame.
    SPOKEN = 1


class Utterance(msgspec.Struct, frozen=True):
    """What is said at one go."""

    #: Without what the library stumbles over; SSML where `ssml` says so.
    text: str
    #: By its identifier, with `+VARIANT` where there is one.
    voice: str
    #: Words a minute.
    rate: int
    #: 0 to 100; 50 is the voice's own.
    pitch: int
    ssml: bool = False
    #: Whether the pause of a sentence's end follows.
    pause: bool = False


class Inventory(msgspec.Struct, frozen=True):
    """What the library has; or why there is none."""

    version: str = ""
    #: Samples a second.
    rate: int = 0
    voices: tuple[NativeVoice, ...] = ()
    variants: tuple[NativeVoice, ...] = ()
    #: A `BootError`: its code and its message.
    failure: tuple[str, str] | None = None
