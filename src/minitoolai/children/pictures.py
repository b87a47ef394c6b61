"""`python -m minitoolai.children.pictures`: decodes callers' pictures and encodes them anew, away from everything else.

Each is decoded in a fork of its own (`forks`), and what comes out is a new file: first frame, upright, at most
`LONGEST_SIDE` pixels, without metadata. The answer is `core/picture_wire`'s.
"""

from __future__ import annotations

import contextlib
from io import BytesIO
from typing import Any

from minitoolai.children import forks
from minitoolai.children.report import BootError
from minitoolai.core.child_wire import frame
from minitoolai.core.image_urls import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from minitoolai.core.picture_wire import Verdict

#: Formats that callers may send, by Pillow's names. JPEG of several pictures (MPO) comes by the same plugin.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
#: Pixels of the longer side afterwards: the most that OpenAI's models see, and more than open ones do.
LONGEST_SIDE = 2048
#: JPEG quality: above it files grow and nothing is seen.
QUALITY = 90
#: Address space of one decoder. The dearest picture that is taken, a WebP of 50 million pixels with transparent ones,
#: needs 0.9 GB.
MEMORY_BYTES = 1_500_000_000
#: Seconds of processor and of waiting for one picture; 50 million pixels of PNG take about 2 s of processor.
CPU_S, WALL_S = 8, 20
#: EXIF's tag and values for how a camera was held, and what turns the picture upright (Pillow's transpositions).
_ORIENTATION = 0x0112
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


def encoded_anew(data: bytes) -> tuple[Verdict, bytes]:
    """Return a picture as a new PNG (where it has transparent pixels) or JPEG.

    Raises `TooMuch`, `MemoryError`, or whatever the decoder does.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # checked here, once more than in the gateway: by what the decoder itself found
    with Image.open(BytesIO(data), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_IMAGE_PIXELS:
            raise forks.TooMuch
        turn = _turn(opened)
        if opened.format == "JPEG":
            opened.draft(None, _fitting(opened.size))  # decodes at an eighth to a half of the size where that is enough
        picture = _plain(opened)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if turn is not None:
        picture = picture.transpose(turn)
    picture.info = {}
    out = BytesIO()
    if picture.mode == "RGBA" and picture.getextrema()[3][0] < 255:
        picture.save(out, "PNG")
        return Verdict.PNG, out.getvalue()
    picture.convert("RGB").save(out, "JPEG", quality=QUALITY)
    return Verdict.JPEG, out.getvalue()


def _turn(picture: Any) -> Any:
    """Return the transposition that turns a photograph upright; None where there is none, or its EXIF cannot be read."""
    from PIL.Image import Transpose

    with contextlib.suppress(OSError, SyntaxError, ValueError, KeyError, TypeError, EOFError):
        turn = _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
        return None if turn is None else Transpose(turn)
    return None


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size that a picture will have."""
    width, height = size
    longest = max(LONGEST_SIDE, width, height)
    return max(1, width * LONGEST_SIDE // longest), max(1, height * LONGEST_SIDE // longest)


def _plain(picture: Any) -> Any:
    """Return a picture in 8 bits: grey, RGB, RGBA or CMYK; palettes resolved, 16 bits scaled down."""
    if picture.mode.startswith("I"):
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    picture.load()
    return picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB")


def _load_decoders() -> None:
    """Import before the forks what each of them needs."""
    try:
        from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401
    except ImportError as error:
        why = f"Pillow is not installed, or lacks a format ({error}). Install it: pip install pillow."
        raise BootError("decoder_missing", why) from error


#: How a picture is looked at.
LOOK = forks.Look(
    answer=lambda picture: frame(*encoded_anew(picture)),
    most_bytes=MAX_IMAGE_BYTES,
    memory_bytes=MEMORY_BYTES,
    cpu_s=CPU_S,
    wall_s=WALL_S,
    damaged=frame(Verdict.DAMAGED),
    too_much=frame(Verdict.TOO_LARGE),
)

if __name__ == "__main__":
    forks.live("minitoolai.children.pictures", LOOK, _load_decoders)
