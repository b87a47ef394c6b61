"""What every child that takes orders by `core.child_wire` does the same: it listens, reads orders, notices who left.

What an order is and what is answered stands beside each kind of child: `onnx_pictures.server`, `speech.server`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NoReturn

from minitoolai.children.report import BootError
from minitoolai.core.child_wire import LENGTH, BadOrder

#: Connections that wait for the moment until they are taken and wait in the server's own queue: many may come at once,
#: and asyncio takes what a full backlog answers for a connection.
BACKLOG = 1024
#: Seconds for whoever asks to send an order, and to take some bytes: both ends are on this machine.
WIRE_S = 30.0
#: Seconds until a connection that could not be taken is tried again.
ACCEPT_AGAIN_S = 0.05


class CallerLeft(Exception):
    """Nobody waits for what was ordered any more."""


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
    """A listening socket and the threads that answer its connections, in the order they came, so many at a time.

    A thread is made when there is something to do for it.
    """

    def __init__(self, listener: socket.socket, answer: Callable[[socket.socket], None], parallel: int) -> None:
        """`answer` has a connection to itself; that it raises `CallerLeft` is no failure, all else it answers itself."""
        self._listener = listener
        self._answer = answer
        self._parallel = parallel
        #: Guards what follows, and tells the threads of a connection.
        self._come = threading.Condition()
        self._waiting: deque[socket.socket] = deque()
        self._threads = 0
        #: Threads that answer nobody.
        self._idle = 0

    def start(self) -> None:
        """Begin to answer, in threads that end with the process."""
        threading.Thread(target=self._take, daemon=True).start()
        # One is there whatever comes: later the system may have none to give.
        self._threads = self._idle = 1
        threading.Thread(target=self._work, daemon=True).start()

    def _take(self) -> NoReturn:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:  # no descriptor is free: when a connection has ended there is one
                time.sleep(ACCEPT_AGAIN_S)
                continue
            with self._come:
                self._waiting.append(connection)
                if len(self._waiting) > self._idle and self._threads < self._parallel:
                    with contextlib.suppress(RuntimeError):  # the system has no thread to give: those that there are do it
                        threading.Thread(target=self._work, daemon=True).start()
                        self._threads += 1
                        self._idle += 1
                self._come.notify()

    def _work(self) -> NoReturn:
        while True:
            with self._come:
                while not self._waiting:
                    self._come.wait()
                self._idle -= 1
                connection = self._waiting.popleft()
            with connection:
                connection.settimeout(WIRE_S)
                with contextlib.suppress(CallerLeft):
                    self._answer(connection)
                with self._come:  # before the connection ends: whoever calls again at once finds this thread free
                    self._idle += 1


def received(connection: socket.socket, most_bytes: int) -> bytes:
    """Return the bytes of an order. Raises `BadOrder` for more than `most_bytes`, and `CallerLeft`."""
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if length > most_bytes:
        raise BadOrder(f"it has {length} bytes, more than {most_bytes}")
    content = _exactly(connection, length)
    check_there(connection)
    return content


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = bytearray()
    with _caller():
        while len(content) < length:
            part = connection.recv(length - len(content))
            if not part:
                raise CallerLeft
            content += part
    return bytes(content)


def send(connection: socket.socket, content: bytes | bytearray) -> None:
    """Send all of `content`, as slowly as it is taken. Raises `CallerLeft`, also where nothing is taken for `WIRE_S`."""
    rest = memoryview(content)
    with _caller():
        while rest:
            rest = rest[connection.send(rest) :]


def send_some(connection: socket.socket, content: bytes | bytearray) -> int:
    """Send as much of `content` as is taken without waiting; return how many bytes. Raises `CallerLeft`."""
    if not content or not _has(connection, select.POLLOUT):
        return 0
    with _caller():
        return connection.send(content)


def check_there(connection: socket.socket) -> None:
    """Raise `CallerLeft` where the other end is closed."""
    with _caller():
        if _has(connection, select.POLLIN) and not connection.recv(1, socket.MSG_PEEK):
            raise CallerLeft


def _has(connection: socket.socket, event: int) -> bool:
    poll = select.poll()
    poll.register(connection, event)
    return bool(poll.poll(0))


@contextlib.contextmanager
def _caller() -> Iterator[None]:
    """However a connection breaks or hangs, its caller has left."""
    try:
        yield
    except OSError as error:
        raise CallerLeft from error


def log(module: str, line: str) -> None:
    """Write a line of the child that is `module` to standard error."""
    sys.stderr.write(f"{module}: {line}\n")
    sys.stderr.flush()
