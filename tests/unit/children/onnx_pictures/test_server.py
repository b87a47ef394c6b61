"""The child's server: orders in their turn, callers that leave, and what is said of failures."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from minitoolai.children.onnx_pictures import server
from minitoolai.children.onnx_pictures.drawing import Progress
from minitoolai.children.onnx_pictures.networks import NetworkFailed
from minitoolai.children.onnx_pictures.server import CallerLeft, Server
from minitoolai.children.report import BootError
from minitoolai.core.drawing_wire import LENGTH, MAX_ORDER_BYTES, Frames, Kind, Order, fraction_of, order_bytes
from tests.support.llama_child import short_folder
from tests.support.onnx_child import PATIENCE_S, asked


class Painter:
    """Draws when it is told to: what a model does, without one."""

    def __init__(self) -> None:
        #: The seeds of the orders that were begun.
        self.begun: Queue[int] = Queue()
        #: Lets one picture go on for each thing that is put in.
        self.go: Queue[object] = Queue()
        #: How each picture ended that did not.
        self.ended: Queue[str] = Queue()

    def draw(self, order: Order, progress: Progress) -> bytes:
        """Tell progress, wait, and tell it again; raise what is put in for it."""
        progress(0.0)
        self.begun.put(order.request.seed)
        found = self.go.get(timeout=PATIENCE_S)
        if isinstance(found, Exception):
            raise found
        try:
            progress(0.5)
        except CallerLeft:
            self.ended.put("left")
            raise
        return b"picture %d" % order.request.seed


class Room:
    """A server and who asks it."""

    def __init__(self, path: Path, parallel: int) -> None:
        self.path = str(path)
        self.painter = Painter()
        Server(server.listen(self.path), self.painter.draw, parallel).start()

    def send(self, content: bytes) -> socket.socket:
        """Open a connection and send bytes."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(self.path)
        connection.sendall(content)
        return connection

    def order(self, seed: int) -> socket.socket:
        """Order a picture."""
        return self.send(order_bytes(Order(asked(seed=seed))))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path; what the server does to the process's mask is undone."""
    before = os.umask(0o022)
    with short_folder() as path:
        yield path
    os.umask(before)


def rest(connection: socket.socket) -> list[tuple[Kind, bytes]]:
    """Return all frames until the end."""
    frames, found = Frames(), []
    with connection:
        while data := connection.recv(65536):
            found += frames.receive(data)
    return found


def test_a_picture_is_one_connection(folder: Path) -> None:
    """Progress comes as it is told, then the picture, then the end."""
    room = Room(folder / "s.sock", 1)
    room.painter.go.put(None)
    *told, last = rest(room.order(5))
    assert [(kind, fraction_of(content)) for kind, content in told] == [(Kind.PROGRESS, 0.0), (Kind.PROGRESS, 0.5)]
    assert last == (Kind.PICTURE, b"picture 5")


def test_orders_are_drawn_in_their_turn(folder: Path) -> None:
    """One at a time; whoever leaves before his turn is skipped."""
    room = Room(folder / "s.sock", 1)
    first = room.order(1)
    assert room.painter.begun.get(timeout=PATIENCE_S) == 1
    second, third = room.order(2), room.order(3)
    second.close()
    for _ in range(2):
        room.painter.go.put(None)
    assert rest(first)[-1] == (Kind.PICTURE, b"picture 1")
    assert rest(third)[-1] == (Kind.PICTURE, b"picture 3")
    assert room.painter.begun.get(timeout=PATIENCE_S) == 3


def test_several_are_drawn_side_by_side(folder: Path) -> None:
    """As many as it may; the next waits for the first that ends."""
    room = Room(folder / "s.sock", 2)
    connections = [room.order(seed) for seed in (1, 2, 3)]
    assert {room.painter.begun.get(timeout=PATIENCE_S) for _ in range(2)} == {1, 2}
    assert room.painter.begun.empty()
    for _ in range(3):
        room.painter.go.put(None)
    assert [rest(connection)[-1][1] for connection in connections] == [b"picture 1", b"picture 2", b"picture 3"]


def test_a_caller_that_leaves_ends_the_picture(folder: Path) -> None:
    """At the next progress, and the next order is drawn."""
    room = Room(folder / "s.sock", 1)
    leaving = room.order(1)
    assert room.painter.begun.get(timeout=PATIENCE_S) == 1
    leaving.close()
    room.painter.go.put(None)
    assert room.painter.ended.get(timeout=PATIENCE_S) == "left"
    room.painter.go.put(None)
    assert rest(room.order(2))[-1] == (Kind.PICTURE, b"picture 2")


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (NetworkFailed("out_of_memory", "no room"), b"out_of_memory"),
        (NetworkFailed("engine_failed", "it broke"), b"engine_failed"),
        (ZeroDivisionError("nobody thought of it"), b"engine_failed"),
        (OSError("encoder error"), b"engine_failed"),
    ],
)
def test_a_failure_is_told_by_its_code(
    folder: Path, capfd: pytest.CaptureFixture[str], failure: Exception, code: bytes
) -> None:
    """Why stands in the log; the next order is drawn."""
    room = Room(folder / "s.sock", 1)
    for each in (failure, None):
        room.painter.go.put(each)
    assert rest(room.order(1))[-1] == (Kind.FAILED, code)
    assert str(failure) in capfd.readouterr().err
    assert rest(room.order(2))[-1] == (Kind.PICTURE, b"picture 2")


@pytest.mark.parametrize("content", [LENGTH.pack(4) + b"nope", LENGTH.pack(MAX_ORDER_BYTES + 1)])
def test_what_is_no_order_is_refused(folder: Path, capfd: pytest.CaptureFixture[str], content: bytes) -> None:
    """Nothing is drawn for it."""
    room = Room(folder / "s.sock", 1)
    assert rest(room.send(content)) == [(Kind.REFUSED, b"order_invalid")]
    assert room.painter.begun.empty()
    assert "cannot be drawn" in capfd.readouterr().err


def test_half_an_order_is_dropped(folder: Path) -> None:
    """Who leaves in the middle of his order is not waited for."""
    room = Room(folder / "s.sock", 1)
    for content in (b"", b"\0\0", order_bytes(Order(asked()))[:-1]):
        room.send(content).close()
    room.painter.go.put(None)
    assert rest(room.order(2))[-1] == (Kind.PICTURE, b"picture 2")
    assert room.painter.begun.get(timeout=PATIENCE_S) == 2


def test_the_socket_is_for_this_user(folder: Path) -> None:
    """What lies there from before is replaced, and nobody else may connect."""
    path = folder / "s.sock"
    path.touch()
    with server.listen(str(path)):
        assert path.is_socket()
        assert path.stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_listened_at(folder: Path) -> None:
    """A folder that is not there is told with its path."""
    with pytest.raises(BootError, match=r"none/s\.sock") as caught:
        server.listen(str(folder / "none" / "s.sock"))
    assert caught.value.code == "boot_invalid"


def test_its_threads_end_with_the_process(folder: Path) -> None:
    """None of them keeps an interpreter alive."""
    before = set(threading.enumerate())
    Room(folder / "s.sock", 3)
    begun = set(threading.enumerate()) - before
    assert len(begun) == 4
    assert all(thread.daemon for thread in begun)
