"""What this server and a child that speaks say to each other over `child_wire`: one call a connection (sans I/O).

An order is a `SpeechOrder`, or a `VoicesOrder`. Speech comes as frames of `AUDIO` in the format that was asked for, each
sentence's followed by `SPOKEN`; then `END`. What cannot be spoken is `REFUSED` before any sound.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, unique
from struct import Struct as Layout

import msgspec

from minitoolai.core.child_wire import BadFrame, BadOrder, frame
from minitoolai.core.speech import MAX_JOB_CHARACTERS, MAX_PITCH, MAX_SPEED, MIN_PITCH, MIN_SPEED, SpeechRequest, Voice

#: A text of the longest job, six bytes a character where JSON writes it as `\\u0000`, and the other fields.
MAX_ORDER_BYTES = 1024 * 1024
#: A child sends no frame larger than this; a list of voices is the largest.
MAX_FRAME_BYTES = 1024 * 1024

#: What `FAILED` says where the order itself is the reason.
ORDER_INVALID = b"order_invalid"

_COUNT = Layout(">I")
_encode = msgspec.json.Encoder().encode


@unique
class Kind(IntEnum):
    """What a frame says."""

    #: Bytes of the sound file.
    AUDIO = 0
    #: How many characters of the text are spoken so far, in four bytes: the sound before this has all of them.
    SPOKEN = 1
    #: The sound is complete; the last frame.
    END = 2
    #: The order is not one that is ever spoken: a `Refusal`; the last frame.
    REFUSED = 3
    #: Speaking failed: a word for programs; the last frame.
    FAILED = 4
    #: The voices that there are, a JSON list of `Voice`; the last frame.
    VOICES = 5


class SpeechOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="speech"):
    """What is to be spoken."""

    request: SpeechRequest
    #: Whether somebody waits for it: others make way.
    urgent: bool = True


class VoicesOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="voices"):
    """Asks which voices there are."""


class Refusal(msgspec.Struct, frozen=True):
    """Why an order is never spoken: for the caller who asked."""

    #: The field of `SpeechRequest` at fault.
    field: str
    #: What is wrong with it and what to send instead, as `core.errors.InvalidValue` says it.
    why: str


_Order = SpeechOrder | VoicesOrder
_decode_order: Callable[[bytes], _Order] = msgspec.json.Decoder(_Order).decode
_decode_refusal = msgspec.json.Decoder(Refusal).decode
_decode_voices = msgspec.json.Decoder(list[Voice]).decode


def read_order(content: bytes) -> SpeechOrder | VoicesOrder:
    """Return the order that the bytes after the length hold. Raises `BadOrder`."""
    try:
        order = _decode_order(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadOrder(str(error)) from error
    if isinstance(order, SpeechOrder):
        asked = order.request
        for name, value, least, most in (
            ("text", float(len(asked.text)), 1, MAX_JOB_CHARACTERS),
            ("speed", asked.speed, MIN_SPEED, MAX_SPEED),
            ("pitch", asked.pitch, MIN_PITCH, MAX_PITCH),
        ):
            if not least <= value <= most:
                raise BadOrder(f"{name} is not from {least} to {most}")
    return order


def spoken(characters: int) -> bytes:
    """Return the frame that says how many characters are spoken so far."""
    return frame(Kind.SPOKEN, _COUNT.pack(characters))


def characters_of(content: bytes) -> int:
    """Return the number in a frame of `SPOKEN`. Raises `BadFrame`."""
    if len(content) != _COUNT.size:
        raise BadFrame(f"a count of {len(content)} bytes")
    (count,) = _COUNT.unpack(content)
    return int(count)


def refused(refusal: Refusal) -> bytes:
    """Return the frame that refuses an order."""
    return frame(Kind.REFUSED, _encode(refusal))


def refusal_of(content: bytes) -> Refusal:
    """Return what a frame of `REFUSED` says. Raises `BadFrame`."""
    try:
        return _decode_refusal(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame("a refusal that cannot be read") from error


def voices_frame(voices: list[Voice]) -> bytes:
    """Return the frame that lists voices."""
    return frame(Kind.VOICES, _encode(voices))


def voices_of(content: bytes) -> list[Voice]:
    """Return what a frame of `VOICES` says. Raises `BadFrame`."""
    try:
        return _decode_voices(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame("voices that cannot be read") from error
