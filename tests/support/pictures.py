"""Pictures for tests, made by Pillow or by hand: honest ones, and those that lie about themselves."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

from minitoolai.core.image_urls import data_url


def picture(
    kind: str = "PNG", size: tuple[int, int] = (60, 40), *, mode: str = "RGB", color: Any = 0, **options: Any
) -> bytes:
    """Return a picture of one colour, in a format by Pillow's name."""
    out = io.BytesIO()
    Image.new(mode, size, color).save(out, kind, **options)
    return out.getvalue()


def as_url(data: bytes, kind: str = "png") -> str:
    """Return bytes as a `data:` URL of a picture."""
    return data_url(f"image/{kind}", data)


def opened(data: bytes) -> Image.Image:
    """Return a picture, decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def png_bomb(width: int, height: int) -> bytes:
    """Return a whole PNG of one colour, in one bit a pixel: 12,000 by 12,000 are 17 KB."""
    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes((width + 7) // 8 + 1)) for _ in range(height)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def gif_bomb(width: int, height: int) -> bytes:
    """Return a GIF of 1 by 1 pixel on a huge screen."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + frame + b"\x3b"


def hidden_gif_bomb(width: int, height: int) -> bytes:
    """Return a GIF whose screen is 1 by 1 pixel and whose frame is huge."""
    screen = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + frame + b"\x3b"


def webp_bomb(width: int, height: int) -> bytes:
    """Return the beginning of an extended WebP with a huge canvas."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
