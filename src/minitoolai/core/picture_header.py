"""The kind and size of a picture from its first bytes, before anything decodes it: a small file may be a huge picture."""

from __future__ import annotations

from dataclasses import dataclass
from struct import error, unpack_from
from typing import Literal

#: Markers of a JPEG that begin a frame and tell its size: all of SOF0 to SOF15 but DHT, JPG and DAC
#: (ITU-T T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length behind them: TEM, RST0 to RST7, SOI.
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
#: Scan and end: what comes after is no header.
_JPEG_LAST = frozenset({0xD9, 0xDA})

Kind = Literal["png", "jpeg", "gif", "webp"]


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a picture says of itself."""

    kind: Kind
    #: Pixels, each at least 1.
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Pixels in all."""
        return self.width * self.height


def read_header(data: bytes) -> PictureHeader | None:
    """Return the kind and size of the picture that begins with `data`; None where it is none, or cut before its size."""
    try:
        found = _read(data)
    except (error, IndexError):
        return None
    return found if found is not None and found.width > 0 and found.height > 0 else None


def _read(data: bytes) -> PictureHeader | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PictureHeader("png", *unpack_from(">II", data, 16)) if data[12:16] == b"IHDR" else None
    if data.startswith((b"GIF87a", b"GIF89a")):
        return PictureHeader("gif", *unpack_from("<HH", data, 6))
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    return None


def _jpeg(data: bytes) -> PictureHeader | None:
    """Walk from marker to marker up to the frame."""
    position = 2
    while data[position] == 0xFF:
        while data[position] == 0xFF:  # a marker may be filled up with any number of these
            position += 1
        marker = data[position]
        position += 1
        if marker in _JPEG_LAST:
            return None
        if marker in _JPEG_BARE:
            continue
        if marker in _JPEG_FRAMES:
            height, width = unpack_from(">HH", data, position + 3)
            return PictureHeader("jpeg", width, height)
        (length,) = unpack_from(">H", data, position)
        if length < 2:
            return None
        position += length
    return None


def _webp(data: bytes) -> PictureHeader | None:
    """Read the first chunk: a lossy frame, a lossless one, or the canvas of an extended file
    (https://developers.google.com/speed/webp/docs/riff_container)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(_exactly(data, place, 3), "little") + 1 for place in (24, 27))
        return PictureHeader("webp", width, height)
    if chunk == b"VP8L" and data[20] == 0x2F:
        (bits,) = unpack_from("<I", data, 21)
        return PictureHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = unpack_from("<HH", data, 26)
        return PictureHeader("webp", width & 0x3FFF, height & 0x3FFF)
    return None


def _exactly(data: bytes, place: int, count: int) -> bytes:
    found = data[place : place + count]
    if len(found) < count:
        raise IndexError(place)
    return found
