"""Takes orders by a Unix socket and has them drawn in threads, in the order they came, so many at a time.

Whoever sent an order and left is noticed before its turn and between two calls of a network: then it is dropped.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import NoReturn

from minitoolai.children.onnx_pictures.drawing import Progress
from minitoolai.children.onnx_pictures.networks import NetworkFailed
from minitoolai.children.report import BootError
from minitoolai.core.drawing_wire import LENGTH, MAX_ORDER_BYTES, BadOrder, Kind, Order, frame, progress, read_order

#: Connections that wait to be taken.
BACKLOG = 64
#: Seconds for a worker to send its order, and to take a frame: both are on this machine.
WIRE_S = 30.0

#: Returns the PNG of an order. Raises `NetworkFailed`, and what the progress raises.
Draw = Callable[[Order, Progress], bytes]


class CallerLeft(Exception):
    """Nobody waits for the picture any more."""


def listen(path: str) -> socket.socket:
    """Return a socket that listens at `path`, for this user alone. Raises `BootError` (`boot_invalid`)."""
    os.umask(0o077)
    listener = socket.socket(socket.AF_UNIX)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise BootError("boot_invalid", f"Cannot listen at {path} ({error.strerror}). Correct socket.") from error
    return listener


class Server:
    """A listening socket and the threads that draw for it."""

    def __init__(self, listener: socket.socket, draw: Draw, parallel: int) -> None:
        self._listener = listener
        self._draw = draw
        self._parallel = parallel
        self._waiting: SimpleQueue[socket.socket] = SimpleQueue()

    def start(self) -> None:
        """Begin to answer, in threads that end with the process."""
        for target in (self._take, *[self._work] * self._parallel):
            threading.Thread(target=target, daemon=True).start()

    def _take(self) -> NoReturn:
        while True:
            self._waiting.put(self._listener.accept()[0])

    def _work(self) -> NoReturn:
        while True:
            with self._waiting.get() as connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        """Draw the picture of one connection, and say what became of it to whoever still listens."""
        connection.settimeout(WIRE_S)
        with contextlib.suppress(CallerLeft):
            _send(connection, self._frame(connection))

    def _frame(self, connection: socket.socket) -> bytes:
        """Return the last frame of a connection. Raises `CallerLeft`."""

        def told(fraction: float) -> None:
            _check_there(connection)
            _send(connection, progress(fraction))

        try:
            order = read_order(_received(connection))
            return frame(Kind.PICTURE, self._draw(order, told))
        except BadOrder as error:
            _log(f"an order cannot be drawn: {error}")
            return frame(Kind.REFUSED, b"order_invalid")
        except NetworkFailed as error:
            _log(f"a picture failed ({error.code}): {error}")
            return frame(Kind.FAILED, error.code.encode())
        except CallerLeft:
            raise
        except Exception:  # noqa: BLE001 - what nobody thought of fails one picture; the next may be drawn
            _log(f"a picture failed:\n{traceback.format_exc()}")
            return frame(Kind.FAILED, b"engine_failed")


def _received(connection: socket.socket) -> bytes:
    """Return the bytes of an order. Raises `BadOrder`, `CallerLeft`."""
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if length > MAX_ORDER_BYTES:
        raise BadOrder(f"it has {length} bytes, more than {MAX_ORDER_BYTES}")
    content = _exactly(connection, length)
    _check_there(connection)
    return content


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    with _caller():
        while len(received) < length:
            part = connection.recv(length - len(received))
            if not part:
                raise CallerLeft
            received += part
    return bytes(received)


def _send(connection: socket.socket, content: bytes) -> None:
    with _caller():
        connection.sendall(content)


def _check_there(connection: socket.socket) -> None:
    """Raise `CallerLeft` where the other end is closed."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    with _caller():
        if poll.poll(0) and not connection.recv(1, socket.MSG_PEEK):
            raise CallerLeft


@contextlib.contextmanager
def _caller() -> Iterator[None]:
    """However a connection breaks or hangs, its caller has left."""
    try:
        yield
    except OSError as error:
        raise CallerLeft from error


def _log(line: str) -> None:
    sys.stderr.write(f"minitoolai.children.onnx_pictures: {line}\n")
    sys.stderr.flush()
