"""What is on its way to one caller: sent as it is taken, kept while it is not."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from minitoolai.children import serving
from minitoolai.core.child_wire import frame
from minitoolai.core.speech_wire import Kind

#: Bytes of sound in a frame at most.
FRAME_BYTES = 64 * 1024
#: Seconds between two looks whether the caller is still there: a tenth of what a cancelled call may take to end.
LOOK_S = 0.005


class Outbox:
    """The frames of one connection."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._looked = clock()
        self._rest = bytearray()
        #: Whether any sound was put in.
        self.has_sound = False

    def put(self, content: bytes) -> None:
        """Put in a frame."""
        self._rest += content

    def put_sound(self, sound: bytes) -> None:
        """Put in the next bytes of the sound file."""
        for start in range(0, len(sound), FRAME_BYTES):
            self.put(frame(Kind.AUDIO, sound[start : start + FRAME_BYTES]))
            self.has_sound = True

    def send_some(self) -> None:
        """Send what is taken without waiting. Raises `CallerLeft`."""
        del self._rest[: serving.send_some(self._connection, self._rest)]

    def send(self) -> None:
        """Send everything, as slowly as it is taken. Raises `CallerLeft`."""
        content, self._rest = self._rest, bytearray()
        serving.send(self._connection, content)

    def check_there(self) -> None:
        """Raise `CallerLeft` where the caller has left."""
        self._looked = self._clock()
        serving.check_there(self._connection)

    def look(self) -> None:
        """As `check_there`, but cheap enough to be asked for every few samples: it looks now and then."""
        if self._clock() - self._looked >= LOOK_S:
            self.check_there()
