"""What one gateway has counted, and the file in which it shows that to its siblings.

The file is written in place by one call: a rename for each change costs milliseconds on a file system that then waits
for its disk. A checksum tells whoever reads it in the middle of that to read again.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import msgspec
from msgspec import Struct, field

#: Upper bounds of the histograms' buckets, in seconds: from a model in memory to a long answer.
DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
#: A write takes microseconds: a file that is read so often and never whole is broken.
_MOST_READS = 20
#: Length and checksum of what follows.
_HEAD = struct.Struct("<II")


class Key(Struct, frozen=True, array_like=True):
    """What requests are told apart by. Each field has few values, none chosen by callers."""

    route: str
    status: int
    error: str
    model: str
    engine: str
    outcome: str


class Tally(Struct, array_like=True):
    """What the requests of one key add up to."""

    requests: int = 0
    seconds: float = 0.0
    #: Requests by duration, one count for each bucket and one above the last.
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATIONS_S) + 1))
    first_seconds: float = 0.0
    firsts: list[int] = field(default_factory=lambda: [0] * (len(DURATIONS_S) + 1))
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nusd: int = 0
    shortfall_nusd: int = 0
    #: Engines called beyond each call's first.
    failovers: int = 0
    #: Characters that were spoken, and milliseconds of sound that were written down.
    characters: int = 0
    audio_ms: int = 0


class Figures(Struct):
    """All figures of one process, as its file holds them."""

    tallies: list[tuple[Key, Tally]] = []
    #: By engine and code.
    engine_failures: list[tuple[str, str, int]] = []
    #: What only rises, by name, since the first gateway of this file.
    counters: dict[str, float] = {}
    #: What the process sees now, by name; they count while the file is young.
    gauges: dict[str, float] = {}
    #: State of each engine's breaker.
    engines: dict[str, str] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Figures).decode


class FiguresFile:
    """The file of one gateway. A later process of the same number goes on with it."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def write(self, figures: Figures) -> None:
        """Put `figures` in place of what is there. Raises `OSError`."""
        body = _encode(figures)
        os.pwrite(self._descriptor, _HEAD.pack(len(body), zlib.crc32(body)) + body, 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def read_figures(path: Path) -> Figures | None:
    """Return what a file holds; None: nothing that can be read."""
    for _ in range(_MOST_READS):
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if len(data) < _HEAD.size:
            return None
        length, checksum = _HEAD.unpack_from(data)
        body = data[_HEAD.size : _HEAD.size + length]
        if len(body) == length and zlib.crc32(body) == checksum:
            return _decode(body)
    return None
