"""What is on its way to a caller: frames in order, and how often it is asked whether he is there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from minitoolai.children.serving import CallerLeft
from minitoolai.children.speech.outbox import FRAME_BYTES, LOOK_S, Outbox
from minitoolai.core.child_wire import Frames
from minitoolai.core.speech_wire import MAX_FRAME_BYTES, Kind, spoken
from tests.support.child_process import PATIENCE_S
from tests.support.speaking_child import frames_of, sound_of


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection: the server's, and the caller's."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    theirs.settimeout(PATIENCE_S)
    with ours, theirs:
        yield ours, theirs


def test_what_is_put_in_comes_out_in_order(pair: tuple[socket.socket, socket.socket]) -> None:
    """Also where part of it was sent while the caller took no more, and none of its frames is larger than they are read."""
    ours, theirs = pair
    sound = bytes(range(256)) * 4000
    outbox = Outbox(ours)
    assert not outbox.has_sound
    outbox.put_sound(b"")
    assert not outbox.has_sound
    outbox.put_sound(sound)
    assert outbox.has_sound
    for _ in range(3):
        outbox.send_some()
    outbox.put(spoken(7))

    def send() -> None:
        outbox.send()
        ours.close()

    sending = threading.Thread(target=send)
    sending.start()
    frames = frames_of(theirs)
    sending.join()
    assert frames[-1] == (Kind.SPOKEN, b"\0\0\0\7")
    assert sound_of(frames) == sound
    assert max(len(content) for _, content in frames) == FRAME_BYTES < MAX_FRAME_BYTES


def test_nothing_is_sent_twice(pair: tuple[socket.socket, socket.socket]) -> None:
    """Sent at once or sent in the end, it is forgotten."""
    ours, theirs = pair
    outbox = Outbox(ours)
    outbox.put_sound(b"abc")
    outbox.send_some()
    outbox.send()
    outbox.send()
    assert Frames(Kind, MAX_FRAME_BYTES).receive(theirs.recv(100)) == [(Kind.AUDIO, b"abc")]
    ours.close()
    assert theirs.recv(100) == b""


def test_it_looks_now_and_then(pair: tuple[socket.socket, socket.socket]) -> None:
    """However often it is asked, and then it notices who has left."""
    ours, theirs = pair
    now = 0.0
    outbox = Outbox(ours, lambda: now)
    theirs.close()
    for _ in range(3):
        outbox.look()
    now = LOOK_S
    with pytest.raises(CallerLeft):
        outbox.look()
    outbox.look()
    with pytest.raises(CallerLeft):
        outbox.check_there()
