"""The pictures child: what it makes of pictures, what it refuses, and how little a bad one can do."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from minitoolai.children.pictures import LONGEST_SIDE, encoded_anew
from minitoolai.core.child_wire import LENGTH
from minitoolai.core.image_urls import MAX_IMAGE_BYTES
from minitoolai.core.picture_wire import Verdict
from tests.support.llama_child import short_folder
from tests.support.looking_child import PATIENCE_S, request
from tests.support.pictures import gif_bomb, hidden_gif_bomb, opened, picture, png_bomb, webp_bomb
from tests.support.pictures_child import PicturesChild, pictures_child

RED, BLUE = (250, 10, 10), (10, 10, 250)


@pytest.fixture(scope="module")
def child() -> Iterator[PicturesChild]:
    """One child for all tests that only ask."""
    with short_folder() as folder, pictures_child(folder) as started:
        ready = started.started()
        assert ready["event"] == "ready", ready
        yield started


@pytest.mark.parametrize(
    ("kind", "mode", "color"),
    [
        ("PNG", "RGB", RED),
        ("PNG", "L", 200),
        ("PNG", "1", 1),
        ("PNG", "P", 0),
        ("PNG", "I;16", 50_000),
        ("JPEG", "RGB", RED),
        ("JPEG", "L", 200),
        ("JPEG", "CMYK", (0, 200, 200, 0)),
        ("GIF", "RGB", RED),
        ("WEBP", "RGB", RED),
        ("PNG", "RGBA", (*RED, 255)),
    ],
)
def test_opaque_pictures_become_jpeg(child: PicturesChild, kind: str, mode: str, color: object) -> None:
    """Every format in every mode comes out the same size and colour."""
    given = picture(kind, (61, 43), mode=mode, color=color)
    answer = child.ask(given)
    assert answer is not None
    assert answer[0] is Verdict.JPEG
    image = opened(answer[1])
    assert (image.size, image.format) == ((61, 43), "JPEG")
    wanted = {"I;16": (195, 195, 195), "1": (255, 255, 255)}.get(mode) or opened(given).convert("RGB").getpixel((30, 20))
    found = image.convert("RGB").getpixel((30, 20))
    assert isinstance(wanted, tuple)
    assert isinstance(found, tuple)
    assert all(abs(a - b) < 12 for a, b in zip(wanted, found, strict=True))


@pytest.mark.parametrize(
    ("kind", "mode", "color"), [("PNG", "RGBA", (*RED, 90)), ("PNG", "LA", (9, 9)), ("WEBP", "RGBA", (*BLUE, 0))]
)
def test_transparent_pictures_become_png(child: PicturesChild, kind: str, mode: str, color: object) -> None:
    """An alpha channel that is used is kept."""
    answer = child.ask(picture(kind, (61, 43), mode=mode, color=color))
    assert answer is not None
    assert answer[0] is Verdict.PNG
    assert (opened(answer[1]).size, opened(answer[1]).mode) == ((61, 43), "RGBA")


@pytest.mark.parametrize(("kind", "size"), [("PNG", (4096, 100)), ("JPEG", (3000, 5000)), ("WEBP", (2049, 2049))])
def test_large_pictures_shrink(kind: str, size: tuple[int, int]) -> None:
    """The longer side is brought down, the shape stays."""
    image = opened(encoded_anew(picture(kind, size))[1])
    assert max(image.size) == LONGEST_SIDE
    assert image.width / image.height == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.long
def test_the_dearest_picture(child: PicturesChild) -> None:
    """What needs the most memory of all that is taken is within the limits."""
    answer = child.ask(picture("WEBP", (7100, 7100), mode="RGBA"))
    assert answer is not None
    assert answer[0] is Verdict.PNG


@pytest.mark.parametrize("orientation", range(1, 10))
def test_photographs_are_upright(orientation: int) -> None:
    """The turn in the EXIF is made, and the EXIF is gone with everything else that is no pixel."""
    image = opened(picture("PNG", (40, 20), color=BLUE))
    image.paste(RED, (0, 0, 20, 10))  # the upper left
    exif = image.getexif()
    exif[0x0112] = orientation
    exif[0x010E] = "a secret place"
    corners = {1: (5, 5), 2: (35, 5), 3: (35, 15), 4: (5, 15), 5: (5, 5), 6: (15, 5), 7: (15, 35), 8: (5, 35), 9: (5, 5)}
    made = encoded_anew(_saved(image, exif=exif, icc_profile=b"profile"))[1]
    turned = opened(made)
    assert turned.size == ((20, 40) if 5 <= orientation <= 8 else (40, 20))
    red, _, blue = turned.convert("RGB").getpixel(corners[orientation])  # type: ignore[misc]
    assert red > 200 > blue
    assert b"secret" not in made
    assert b"profile" not in made
    assert b"Exif" not in made


def test_broken_exif_harms_nothing(child: PicturesChild) -> None:
    """A photograph whose EXIF is nonsense is a picture all the same."""
    answer = child.ask(picture("JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"))
    assert answer is not None
    assert answer[0] is Verdict.JPEG


def test_the_first_frame_only() -> None:
    """Of an animation the first frame is seen."""
    frames = [opened(picture("PNG", color=color)) for color in (RED, BLUE)]
    for kind in ("GIF", "WEBP", "PNG"):
        image = opened(encoded_anew(_saved(frames[0], kind, save_all=True, append_images=frames[1:]))[1])
        red, _, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert red > 200 > blue, kind


@pytest.mark.parametrize(
    "data",
    [png_bomb(12_000, 12_000), gif_bomb(60_000, 60_000), hidden_gif_bomb(60_000, 60_000)],
    ids=["png", "gif", "a gif with a small screen"],
)
def test_bombs(child: PicturesChild, data: bytes) -> None:
    """A small file that is a huge picture is refused at once."""
    began = time.monotonic()
    assert child.ask(data) in ((Verdict.TOO_LARGE, b""), (Verdict.DAMAGED, b""))
    assert time.monotonic() - began < PATIENCE_S / 3
    assert child.ask(picture()) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        webp_bomb(10, 10),
        picture("BMP"),
        picture("TIFF"),
        picture("PNG", (200, 200))[:120],
        picture("JPEG", (200, 200))[:700],
        picture("GIF", (200, 200))[:100],
        picture("WEBP", (200, 200), color=RED, lossless=True)[:-8],
        picture("JPEG", (200, 200)).replace(b"\xff\xda", b"\xff\xdb", 1),
    ],
)
def test_what_is_no_picture(child: PicturesChild, data: bytes) -> None:
    """Other formats, and pictures cut short, are refused."""
    assert child.ask(data) == (Verdict.DAMAGED, b"")


def test_what_is_behind_a_picture_is_gone() -> None:
    """A file that is a picture and something else as well comes out as a picture."""
    made = encoded_anew(picture("JPEG") + b"PK\x03\x04 <script>alert(1)</script>")[1]
    assert b"script" not in made
    assert b"PK\x03\x04" not in made


def test_more_bytes_than_allowed(child: PicturesChild) -> None:
    """A picture that is announced too long is not read."""
    with child.open(LENGTH.pack(MAX_IMAGE_BYTES + 1)) as connection:
        assert connection.recv(1) == bytes([Verdict.TOO_LARGE])


def test_a_caller_that_leaves(child: PicturesChild) -> None:
    """Half a request leaves no decoder behind."""
    child.open(request(picture())[:40]).close()
    child.until_idle()
    assert child.ask(picture()) is not None


@pytest.mark.parametrize(
    ("number", "answer"),
    [(signal.SIGSEGV, bytes([Verdict.DAMAGED])), (signal.SIGXCPU, bytes([Verdict.TOO_LARGE])), (signal.SIGKILL, b"")],
)
def test_a_decoder_that_dies(child: PicturesChild, number: signal.Signals, answer: bytes) -> None:
    """Dead of its picture it is answered for; killed it is not. The others live on."""
    child.until_idle()
    with child.open(LENGTH.pack(1000)) as connection:
        deadline = time.monotonic() + PATIENCE_S
        while not child.forks() and time.monotonic() < deadline:
            time.sleep(0.005)
        (pid,) = child.forks()
        os.kill(pid, number)
        with contextlib.suppress(ConnectionResetError):  # how an end without an answer may look as well
            assert connection.recv(1) == answer
    assert child.ask(picture()) is not None


def test_more_pictures_than_decoders(child: PicturesChild) -> None:
    """Further callers wait for their turn."""
    child.until_idle()
    waiting = [child.open(LENGTH.pack(1000)) for _ in range(5)]
    time.sleep(0.1)
    assert 2 <= len(child.forks()) <= 4
    for connection in waiting:
        connection.close()
    assert child.ask(picture()) is not None


@pytest.mark.parametrize("boot", [[], {}, {"socket": 5}, {"socket": "x", "more": 1}])
def test_a_bad_boot_document(boot: object) -> None:
    """It says what is wrong, and ends."""
    with short_folder() as folder, pictures_child(folder, boot) as started:
        failed = started.started()
        assert (failed["event"], failed["code"]) == ("failed", "boot_invalid")
        assert started.process.wait(PATIENCE_S) == 1


def test_it_leaves_when_told(child: PicturesChild) -> None:
    """SIGTERM removes the socket; the end of the lifeline ends it at once. The socket is for this user alone."""
    assert child.socket.stat().st_mode & 0o077 == 0
    with short_folder() as folder, pictures_child(folder) as started:
        started.started()
        started.process.terminate()
        assert started.process.wait(PATIENCE_S) == 0
        assert not started.socket.exists()
    with short_folder() as folder, pictures_child(folder) as started:
        started.started()
        assert started.process.stdin is not None
        started.process.stdin.close()
        assert started.process.wait(PATIENCE_S) != 1


def _saved(image: object, kind: str = "JPEG", **options: object) -> bytes:
    import io

    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[attr-defined]
    return out.getvalue()
