"""`python -m minitoolai.children.pictures`: decodes callers' pictures and encodes them anew, away from everything else.

A picture is a program for a decoder written in C. So each is decoded in a fork of its own, without a network, with
limits on memory and time, and what comes out is a new file: first frame, upright, at most `LONGEST_SIDE` pixels, without
metadata. The wire is `core/picture_wire`. Boot document: `{"socket": "…"}`. Events: `ready`, `failed` (`boot_invalid`,
`decoder_missing`). What must never enter: threads, which a fork would lose.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from io import BytesIO
from types import FrameType
from typing import Any, NoReturn

from minitoolai.children import isolation, lifeline
from minitoolai.children.report import BootError, Report
from minitoolai.core.image_urls import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from minitoolai.core.picture_wire import REQUEST, Verdict, reply

#: Formats that callers may send, by Pillow's names. JPEG of several pictures (MPO) comes by the same plugin.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
#: Pixels of the longer side afterwards: the most that OpenAI's models see, and more than open ones do.
LONGEST_SIDE = 2048
#: JPEG quality: above it files grow and nothing is seen.
QUALITY = 90
#: Address space of one decoder. The dearest picture that is taken, a WebP of 50 million pixels with transparent ones,
#: needs 0.9 GB.
MEMORY_BYTES = 1_500_000_000
#: Decoders side by side: what few cores do, and what the memory of a small machine has room for.
LEAST_AT_ONCE, MOST_AT_ONCE = 2, 4
#: Seconds of processor and of waiting for one picture; 50 million pixels of PNG take about 2 s of processor.
CPU_S, WALL_S = 8, 20
#: How a decoder ends whose picture is refused: any other failure is the picture's fault as well.
_TOO_LARGE_STATUS = 3
#: Signals by which a decoder dies of its picture; by any other it was killed, and the caller may try again.
_DEATHS = {
    signal.SIGXCPU: Verdict.TOO_LARGE,
    **dict.fromkeys((signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE), Verdict.DAMAGED),
}
#: Connections that wait for a decoder.
BACKLOG = 64
#: EXIF's tag and values for how a camera was held, and what turns the picture upright (Pillow's transpositions).
_ORIENTATION = 0x0112
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


class TooLarge(Exception):
    """A picture has more pixels than may be decoded."""


def encoded_anew(data: bytes) -> tuple[Verdict, bytes]:
    """Return a picture as a new PNG (where it has transparent pixels) or JPEG.

    Raises `TooLarge`, `MemoryError`, or whatever the decoder does.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # checked here, once more than in the gateway: by what the decoder itself found
    with Image.open(BytesIO(data), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_IMAGE_PIXELS:
            raise TooLarge
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


class Decoders:
    """A listening socket, and one fork for each picture that came in by it."""

    def __init__(self, listener: socket.socket, at_once: int) -> None:
        self._listener = listener
        self._at_once = at_once
        self._running: dict[int, socket.socket] = {}
        self._woken, wake = socket.socketpair()
        for end in (self._woken, wake):
            end.setblocking(False)
        self._wake = wake

    def serve(self) -> NoReturn:
        """Answer until the process ends."""
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        while True:
            free = [self._listener] if len(self._running) < self._at_once else []
            ready, _, _ = select.select([self._woken, *free], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._reap()
            if self._listener in ready:
                self._begin(self._listener.accept()[0])

    def _begin(self, connection: socket.socket) -> None:
        """Decode what comes by a connection, in a fork."""
        pid = os.fork()
        if pid:
            self._running[pid] = connection
            return
        status = 1
        try:
            self._listener.close()
            _confine()
            connection.sendall(reply(*encoded_anew(_received(connection))))
            status = 0
        except (MemoryError, TooLarge):
            status = _TOO_LARGE_STATUS
        finally:
            os._exit(status)

    def _reap(self) -> None:
        """Answer for the decoders that failed."""
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            verdict = _verdict(os.waitstatus_to_exitcode(status))
            with self._running.pop(pid) as connection, contextlib.suppress(OSError):
                if verdict is not None:
                    connection.settimeout(1)
                    connection.sendall(reply(verdict))


def _verdict(status: int) -> Verdict | None:
    """Return what is answered for a decoder that ended so; None: it has answered itself, or was killed."""
    if status < 0:
        return _DEATHS.get(signal.Signals(-status))
    if status == 0:
        return None
    return Verdict.TOO_LARGE if status == _TOO_LARGE_STATUS else Verdict.DAMAGED


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Be woken; `serve` does the rest."""


def _confine() -> None:
    """Take from this process, a fork, what decoding a picture does not need."""
    warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, WALL_S)
    limits = {
        resource.RLIMIT_CPU: (CPU_S, CPU_S + 1),
        resource.RLIMIT_AS: (MEMORY_BYTES, MEMORY_BYTES),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),  # a core file would hold a caller's picture
    }
    for limit, values in limits.items():
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on the address space
            resource.setrlimit(limit, values)


def _received(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        (length,) = REQUEST.unpack(stream.read(REQUEST.size))
        if length > MAX_IMAGE_BYTES:
            raise TooLarge
        data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _listen(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.umask(0o077)  # the socket is for this user alone
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(BACKLOG)
    return listener


def _socket_path(line: bytes) -> str:
    try:
        document = json.loads(line)
        if not (isinstance(document, dict) and set(document) == {"socket"} and isinstance(document["socket"], str)):
            raise ValueError("it must be an object with socket, a text, and nothing else")
    except ValueError as error:
        raise BootError("boot_invalid", f"The boot document on standard input is not valid: {error}.") from error
    return str(document["socket"])


def _load_decoders() -> None:
    """Import before the forks what each of them needs."""
    try:
        from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401
    except ImportError as error:
        why = f"Pillow is not installed, or lacks a format ({error}). Install it: pip install pillow."
        raise BootError("decoder_missing", why) from error


def main() -> None:
    """Boot, serve, leave. Exit status 0 when told to stop, 1 when the start failed; the kernel ends it with its parent."""
    report = Report.take_stdout()
    try:
        path = _socket_path(lifeline.read_line())
        lifeline.arm()
        _load_decoders()
        offline = isolation.cut_network()
        listener = _listen(path)
    except BootError as error:
        report.failed(error)
        sys.stderr.write(f"minitoolai.children.pictures: {error}\n")
        sys.exit(1)
    lifeline.leave_on_sigterm(_removing(path))
    at_once = max(LEAST_AT_ONCE, min(MOST_AT_ONCE, os.cpu_count() or 1))
    report.event("ready", at_once=at_once, network=not offline)
    Decoders(listener, at_once).serve()


def _removing(path: str) -> Callable[[], None]:
    def clean() -> None:
        with contextlib.suppress(OSError):
            os.unlink(path)

    return clean


if __name__ == "__main__":
    main()
