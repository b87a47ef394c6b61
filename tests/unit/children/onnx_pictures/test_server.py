"""The child's server: orders in their turn, callers that leave, and what is said of failures."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from minitoolai.children.onnx_pictures import server
from minitoolai.children.onnx_pictures.drawing import Progress
from minitoolai.children.onnx_pictures.networks import NetworkFailed
from minitoolai.children.serving import CallerLeft
from minitoolai.core.child_wire import LENGTH, Frames, order_bytes
from minitoolai.core.drawing_wire import MAX_FRAME_BYTES, MAX_ORDER_BYTES, Kind, Order, fraction_of
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
        server.serve(self.path, self.painter.draw, parallel)

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
    frames, found = Frames(Kind, MAX_FRAME_BYTES), []
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
