"""Headers of pictures: the size that Pillow finds as well, and nothing for what is cut, damaged or something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.picture_header import PictureHeader, read_header
from tests.support.pictures import gif_bomb, opened, picture, png_bomb, webp_bomb

EXIF = b"Exif\x00\x00" + bytes(60_000)
PICTURES = {
    "png": picture("PNG", (61, 43)),
    "jpeg": picture("JPEG", (61, 43)),
    "progressive": picture("JPEG", (61, 43), progressive=True),
    "photograph": picture("JPEG", (61, 43), exif=EXIF, comment=b"\xff\xc0 no frame"),
    "gif": picture("GIF", (61, 43)),
    "lossy": picture("WEBP", (61, 43)),
    "lossless": picture("WEBP", (61, 43), lossless=True),
    "extended": picture("WEBP", (61, 43), mode="RGBA", exif=EXIF),
}


@pytest.mark.parametrize("name", PICTURES)
def test_sizes(name: str) -> None:
    """Every format, and every kind of it, tells its size."""
    header = read_header(PICTURES[name])
    assert header is not None
    assert (header.width, header.height) == opened(PICTURES[name]).size
    assert header.kind == (opened(PICTURES[name]).format or "").lower()


@pytest.mark.parametrize("name", PICTURES)
def test_cut_at_every_byte(name: str) -> None:
    """A cut header is no picture, and a whole one is the same however much comes after it."""
    whole = read_header(PICTURES[name])
    found = [read_header(PICTURES[name][:length]) for length in range(min(len(PICTURES[name]), 70_000))]
    assert set(found) == {None, whole}
    assert found.index(whole) >= 10
    assert None not in found[found.index(whole) :]


@given(st.sampled_from(sorted(PICTURES)), st.integers(min_value=0, max_value=80), st.binary(min_size=1, max_size=30))
def test_damage(name: str, place: int, damage: bytes) -> None:
    """Whatever the bytes are, the answer is a header or None."""
    data = PICTURES[name][:place] + damage + PICTURES[name][place + len(damage) :]
    header = read_header(data)
    assert header is None or (header.width > 0 and header.height > 0)


@given(st.binary(max_size=64))
def test_noise(data: bytes) -> None:
    """Noise behind each beginning is survived."""
    for magic in (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF1234WEBPVP8 ", b"RIFF1234WEBPVP8L"):
        read_header(magic + data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BM" + bytes(60),
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIDAT" + bytes(8),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + bytes(8),
        b"\xff\xd8\xff\xe0\x00\x01" + bytes(60),
        b"\xff\xd8\xff\xe0\x00\x04ab" + b"no marker",
        b"\xff\xd8\xff\xda" + bytes(60),
        b"\xff\xd8\xff\xd0\xff\x01\xff\xff\xd9" + bytes(60),
        b"RIFF1234WEBPABCD" + bytes(60),
        b"RIFF1234WEBPVP8 " + bytes(60),
    ],
)
def test_what_is_no_picture(data: bytes) -> None:
    """Other formats, sizes of zero and headers without a size are no pictures."""
    assert read_header(data) is None


def test_bombs_tell_their_size() -> None:
    """A small file that would be a huge picture is known by its header."""
    assert len(png_bomb(12_000, 12_000)) < 18_000
    assert read_header(png_bomb(12_000, 12_000)) == PictureHeader("png", 12_000, 12_000)
    assert read_header(gif_bomb(60_000, 60_000)) == PictureHeader("gif", 60_000, 60_000)
    assert read_header(webp_bomb(1 << 24, 1 << 24)) == PictureHeader("webp", 1 << 24, 1 << 24)
    assert PictureHeader("gif", 60_000, 60_000).pixels == 3_600_000_000
