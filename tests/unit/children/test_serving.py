"""What all children's servers share: where they listen, whom they answer when, and how they notice who left."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from minitoolai.children import serving
from minitoolai.children.report import BootError
from minitoolai.children.serving import CallerLeft, Server
from minitoolai.core.child_wire import LENGTH, BadOrder
from tests.support.child_process import PATIENCE_S
from tests.support.llama_child import short_folder

MOST_BYTES = 100


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path; what listening does to the process's mask is undone."""
    before = os.umask(0o022)
    with short_folder() as path:
        yield path
    os.umask(before)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection: the server's, and the caller's."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    theirs.settimeout(PATIENCE_S)
    with ours, theirs:
        yield ours, theirs


class Room:
    """A server that says what each order says, when it is told to."""

    def __init__(self, path: Path, parallel: int) -> None:
        self.path = str(path)
        #: The orders that were begun.
        self.begun: Queue[bytes] = Queue()
        #: Lets one of them be answered for each thing that is put in.
        self.go: Queue[None] = Queue()
        self.answered: list[bytes] = []
        Server(serving.listen(self.path), self.answer, parallel).start()

    def answer(self, connection: socket.socket) -> None:
        """Answer a connection."""
        order = serving.received(connection, MOST_BYTES)
        self.begun.put(order)
        self.go.get(timeout=PATIENCE_S)
        self.answered.append(order)
        serving.send(connection, order)

    def send(self, content: bytes) -> socket.socket:
        """Open a connection and send bytes."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(self.path)
        connection.sendall(content)
        return connection

    def order(self, content: bytes) -> socket.socket:
        """Send an order."""
        return self.send(LENGTH.pack(len(content)) + content)


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the end."""
    content = b""
    with connection:
        while data := connection.recv(65536):
            content += data
    return content


def test_connections_are_answered_in_their_turn(folder: Path) -> None:
    """As many side by side as it may; the next begins when one has ended."""
    room = Room(folder / "s.sock", 2)
    connections = [room.order(b"%d" % number) for number in range(4)]
    assert {room.begun.get(timeout=PATIENCE_S) for _ in range(2)} == {b"0", b"1"}
    assert room.begun.empty()
    for number in (2, 3):
        room.go.put(None)
        assert room.begun.get(timeout=PATIENCE_S) == b"%d" % number
    for _ in range(2):
        room.go.put(None)
    assert [rest(connection) for connection in connections] == [b"0", b"1", b"2", b"3"]


def test_threads_are_made_as_they_are_needed(folder: Path) -> None:
    """One that is free is used again, no more are made than may be, and none keeps an interpreter alive."""
    before = set(threading.enumerate())

    def begun() -> int:
        threads = set(threading.enumerate()) - before
        assert all(thread.daemon for thread in threads)
        return len(threads)

    many = Room(folder / "many.sock", 40)
    assert begun() == 2
    for _ in range(40):
        many.go.put(None)
        assert rest(many.order(b"one")) == b"one"
    assert begun() == 2
    before |= set(threading.enumerate())
    few = Room(folder / "few.sock", 3)
    connections = [few.order(b"%d" % number) for number in range(7)]
    for _ in connections:
        few.go.put(None)
    assert [rest(connection) for connection in connections] == [b"%d" % number for number in range(7)]
    assert begun() == 4


def test_half_an_order_is_dropped(folder: Path) -> None:
    """Who leaves in the middle of his order is not waited for."""
    room = Room(folder / "s.sock", 1)
    for content in (b"", b"\0\0", LENGTH.pack(4) + b"nop"):
        room.send(content).close()
    room.go.put(None)
    assert rest(room.order(b"whole")) == b"whole"
    assert room.answered == [b"whole"]


def test_a_lack_of_descriptors_passes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that cannot be taken is taken later."""
    monkeypatch.setattr(serving, "ACCEPT_AGAIN_S", 0.0)
    listener = serving.listen(str(folder / "s.sock"))

    class Short(socket.socket):
        """A listening socket for which descriptors lack at first."""

        lacking = 3

        def accept(self) -> tuple[socket.socket, object]:
            if self.lacking:
                self.lacking -= 1
                raise OSError(24, "Too many open files")
            return super().accept()

    Server(Short(fileno=listener.detach()), lambda connection: serving.send(connection, b"here"), 1).start()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    connection.connect(str(folder / "s.sock"))
    assert rest(connection) == b"here"


def test_the_socket_is_for_this_user(folder: Path) -> None:
    """What lies there from before is replaced, and nobody else may connect."""
    path = folder / "s.sock"
    path.touch()
    with serving.listen(str(path)):
        assert path.is_socket()
        assert path.stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_listened_at(folder: Path) -> None:
    """A folder that is not there is told with its path."""
    with pytest.raises(BootError, match=r"none/s\.sock") as caught:
        serving.listen(str(folder / "none" / "s.sock"))
    assert caught.value.code == "boot_invalid"


def test_an_order_is_read_to_its_end(pair: tuple[socket.socket, socket.socket]) -> None:
    """However it is cut; one that is too long is not read."""
    ours, theirs = pair
    sending = threading.Thread(target=lambda: [theirs.send(bytes([byte])) for byte in LENGTH.pack(5) + b"order"])
    sending.start()
    assert serving.received(ours, MOST_BYTES) == b"order"
    sending.join()
    theirs.sendall(LENGTH.pack(MOST_BYTES + 1))
    with pytest.raises(BadOrder, match="more than 100"):
        serving.received(ours, MOST_BYTES)


def test_who_left_is_noticed(pair: tuple[socket.socket, socket.socket]) -> None:
    """By asking, and by sending; who is there and silent is not mistaken for one."""
    ours, theirs = pair
    serving.check_there(ours)
    theirs.close()
    for noticed in (
        lambda: serving.check_there(ours),
        lambda: serving.send(ours, b"x" * 100_000),
        lambda: serving.send_some(ours, b"x"),
        lambda: serving.received(ours, MOST_BYTES),
    ):
        with pytest.raises(CallerLeft):
            noticed()


def test_what_is_not_taken_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    """`send_some` sends as much as there is room for, then nothing; later the rest arrives in order."""
    ours, theirs = pair
    content = bytes(range(256)) * 8192
    sent = 0
    while taken := serving.send_some(ours, content[sent:]):
        sent += taken
    assert 0 < sent < len(content)
    assert serving.send_some(ours, b"") == 0
    sending = threading.Thread(target=serving.send, args=(ours, content[sent:]))
    sending.start()
    arrived = bytearray()
    while len(arrived) < len(content):
        arrived += theirs.recv(65536)
    sending.join()
    assert arrived == content


def test_who_takes_nothing_has_left(pair: tuple[socket.socket, socket.socket]) -> None:
    """After the time that a connection's timeout gives."""
    ours, _theirs = pair
    ours.settimeout(0.01)
    with pytest.raises(CallerLeft):
        serving.send(ours, bytes(10_000_000))


def test_the_log_names_the_child(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines of several children stand in one log."""
    serving.log("minitoolai.children.some", "it failed")
    assert capfd.readouterr().err == "minitoolai.children.some: it failed\n"
