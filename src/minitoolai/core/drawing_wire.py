"""What a worker and a child that draws say to each other over `child_wire`: one picture a connection (sans I/O)."""

from __future__ import annotations

from enum import IntEnum, unique
from struct import Struct as Layout

import msgspec

from minitoolai.core.child_wire import BadFrame, BadOrder, frame
from minitoolai.core.pictures import (
    MAX_CFG_SCALE,
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MIN_CFG_SCALE,
    MIN_SIDE,
    MIN_STEPS,
    PictureRequest,
)
from minitoolai.core.samplers import SCHEDULERS

#: Two prompts of 4000 characters, each six bytes where JSON writes it as `\\u0000`, and the numbers.
MAX_ORDER_BYTES = 64 * 1024
#: What an operator may set as a model's native size, in pixels.
MIN_NATIVE_SIZE, MAX_NATIVE_SIZE = 64, 2048
#: The largest picture's pixels, three bytes each, take 5.4 MB where nothing can be saved.
MAX_FRAME_BYTES = 8 * 1024 * 1024

_FRACTION = Layout(">d")


@unique
class Kind(IntEnum):
    """What a frame says."""

    #: How much is done: a number from 0 to 1 in eight bytes.
    PROGRESS = 0
    #: The picture, a PNG; the last frame.
    PICTURE = 1
    #: The order is not one that is ever drawn: a word for programs; the last frame.
    REFUSED = 2
    #: Drawing it failed: a word for programs; the last frame.
    FAILED = 3


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be drawn, and how."""

    request: PictureRequest
    #: Pixels of a square picture's side that the model draws best; None: the picture is drawn as large as it is asked.
    native_size: int | None = None


_decode = msgspec.json.Decoder(Order).decode


def read_order(content: bytes) -> Order:
    """Return the order that the bytes after the length hold. Raises `BadOrder`."""
    try:
        order = _decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadOrder(str(error)) from error
    asked = order.request
    native_size = MIN_NATIVE_SIZE if order.native_size is None else order.native_size
    for name, value, least, most in (
        ("width", asked.width, MIN_SIDE, MAX_SIDE),
        ("height", asked.height, MIN_SIDE, MAX_SIDE),
        ("steps", asked.steps, MIN_STEPS, MAX_STEPS),
        ("cfg_scale", asked.cfg_scale, MIN_CFG_SCALE, MAX_CFG_SCALE),
        ("seed", asked.seed, 0, MAX_SEED),
        ("prompt", len(asked.prompt), 0, MAX_PROMPT_CHARACTERS),
        ("negative_prompt", len(asked.negative_prompt), 0, MAX_PROMPT_CHARACTERS),
        ("native_size", native_size, MIN_NATIVE_SIZE, MAX_NATIVE_SIZE),
    ):
        if not least <= value <= most:
            raise BadOrder(f"{name} is not from {least} to {most}")
    if asked.scheduler not in SCHEDULERS:
        raise BadOrder(f"scheduler is none of {', '.join(SCHEDULERS)}")
    return order


def progress(fraction: float) -> bytes:
    """Return the frame that says how much is done, 0 to 1."""
    return frame(Kind.PROGRESS, _FRACTION.pack(fraction))


def fraction_of(content: bytes) -> float:
    """Return the number in a frame of progress. Raises `BadFrame`."""
    if len(content) != _FRACTION.size:
        raise BadFrame(f"progress of {len(content)} bytes")
    (fraction,) = _FRACTION.unpack(content)
    if not 0 <= fraction <= 1:
        raise BadFrame(f"progress of {fraction}")
    return float(fraction)
