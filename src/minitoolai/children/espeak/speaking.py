"""Has the mouth speak: starts it, hands it utterances, and starts another where it was killed."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec

from minitoolai.children.espeak.utterances import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, Inventory, Said, Utterance
from minitoolai.children.report import BootError
from minitoolai.children.speech.synthesis import Emit, SpeakingFailed
from minitoolai.core.child_wire import LENGTH, Frames, order_bytes

MODULE = "minitoolai.children.espeak.mouth"
#: Seconds for the mouth to load the library: it takes a fraction of one.
START_S = 30.0
#: Seconds without a sample until an utterance is given up: more than the processor time that one is given.
SILENCE_S = 60.0

_decode = msgspec.json.Decoder(Inventory).decode


class Mouth:
    """The process that speaks. Its methods are for any thread."""

    def __init__(self) -> None:
        """Start it. Raises `BootError`."""
        #: Guards the process and its control socket.
        self._lock = threading.Lock()
        self._process, self._control, self.inventory = _started()

    def say(self, utterance: Utterance, emit: Emit) -> None:
        """Speak, in samples as they come. Raises `SpeakingFailed`, and what `emit` raises, at once."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._hand_over(theirs)
            ours.settimeout(SILENCE_S)
            for samples in _samples(ours, utterance):
                emit(samples)

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._control.close()
            self._process.wait()

    def _hand_over(self, connection: socket.socket) -> None:
        """Give a connection to the mouth, to a new one where it is gone. Raises `SpeakingFailed`."""
        with self._lock:
            if self._handed(connection):
                return
            self._control.close()
            self._process.wait()
            try:
                self._process, self._control, _ = _started()
            except BootError as error:
                raise SpeakingFailed(error.code, str(error)) from error
            if not self._handed(connection):
                raise SpeakingFailed("engine_crashed", "espeak-ng's process does not live")

    def _handed(self, connection: socket.socket) -> bool:
        try:
            return socket.send_fds(self._control, [b"+"], [connection.fileno()]) == 1
        except OSError:
            return False


def _samples(connection: socket.socket, utterance: Utterance) -> Iterator[bytes]:
    """Send an utterance and yield its samples. Raises `SpeakingFailed`."""
    frames = Frames(Said, MAX_FRAME_BYTES)
    try:
        connection.sendall(order_bytes(utterance))
        while data := connection.recv(65536):
            for kind, content in frames.receive(data):
                if kind is Said.SPOKEN:
                    return
                yield content
    except OSError as error:
        raise SpeakingFailed("engine_crashed", f"espeak-ng did not survive a text ({error})") from error
    raise SpeakingFailed("engine_crashed", "espeak-ng did not survive a text")


def _started() -> tuple[subprocess.Popen[bytes], socket.socket, Inventory]:
    """Start a mouth; return it, its control socket, and what it has. Raises `BootError`."""
    control, theirs = socket.socketpair()
    control.settimeout(START_S)
    with theirs:
        process = subprocess.Popen([sys.executable, "-m", MODULE], stdin=theirs.fileno(), stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        with control.makefile("rb") as stream:
            (length,) = LENGTH.unpack(stream.read(LENGTH.size))
            inventory = _decode(stream.read(min(length, MAX_MESSAGE_BYTES)))
    except (OSError, struct.error, msgspec.DecodeError) as error:
        control.close()
        process.kill()
        process.wait()
        raise BootError("engine_crashed", "espeak-ng's process did not start. What it said is in the log.") from error
    if inventory.failure is not None:
        control.close()
        process.wait()
        raise BootError(*inventory.failure)
    return process, control, inventory
