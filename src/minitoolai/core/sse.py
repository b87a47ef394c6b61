"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), sans I/O: bytes to frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

#: A frame larger than this is a fault of the engine: nothing an engine streams comes near it.
MAX_FRAME_BYTES = 16 * 1024 * 1024

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class SseError(Exception):
    """The bytes are not a stream of events that can be relayed."""


def event(data: object) -> bytes:
    """Return one frame whose data is `data` as JSON."""
    return b"data: " + _encode(data) + b"\n\n"


def typed_event(data: Mapping[str, Any]) -> bytes:
    """Return one frame of an event that is called by its data's `type`."""
    return b"event: " + str(data["type"]).encode() + b"\n" + event(data)


def frame_data(frame: bytes) -> bytes:
    """Return the data of a frame: its `data:` lines without the field name, joined by newlines."""
    if frame.startswith(b"data: ") and frame.find(b"\n", 6, -2) < 0:
        return frame[6:-2]
    lines = []
    for line in frame.split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line.startswith(b"data: ") else line[5:])
    return b"\n".join(lines)


class FrameSplitter:
    """Cuts a byte stream into frames, each ending in a blank line, whatever the chunks' borders."""

    __slots__ = ("_after_cr", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        #: Whether the last byte was a carriage return: a line feed that follows belongs to it.
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` completes, line ends as `\\n`. Raises `SseError` on an endless frame."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            self._rest = data
            if len(data) > MAX_FRAME_BYTES:
                raise SseError("a frame does not end")
            return []
        self._rest = data[end:]
        parts = data[: end - 2].split(b"\n\n")
        return [frame + b"\n\n" for part in parts if (frame := part.strip(b"\n"))]

    @property
    def between_frames(self) -> bool:
        """Whether the last frame has ended and no other has begun."""
        return not self._rest and not self._after_cr
