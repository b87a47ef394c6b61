"""Makes samples slower, faster, lower or higher than espeak-ng can: FFmpeg's `atempo` and `asetrate`
(https://ffmpeg.org/ffmpeg-filters.html#atempo), by PyAV.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

#: `atempo` slows down to a half; more of them to less.
_SLOWEST = 0.5


class Stretch:
    """Samples in, samples out: 16 bits each, one channel, the same rate."""

    def __init__(self, rate: int, tempo: float, height: float) -> None:
        """`tempo`: how much shorter the sound becomes; `height`: how much higher. Both 1: nothing is done.

        What is higher is played faster, voice and all, and slowed down again: within an octave, so it sounds like a
        smaller speaker, not like a toy.
        """
        self._rate = rate
        self._at = 0
        self._graph = None if tempo == height == 1 else _graph(rate, tempo / height, height)

    def feed(self, samples: bytes) -> bytes:
        """Return what is ready."""
        if self._graph is None or not samples:
            return samples
        block = np.frombuffer(samples, np.int16)
        frame = av.AudioFrame.from_ndarray(block[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = self._rate
        frame.pts = self._at
        frame.time_base = Fraction(1, self._rate)
        self._at += len(block)
        self._graph.push(frame)
        return b"".join(self._ready(self._graph))

    def finish(self) -> bytes:
        """Return the rest."""
        if self._graph is None:
            return b""
        self._graph.push(None)
        return b"".join(self._ready(self._graph))

    def _ready(self, graph: av.filter.Graph) -> Iterator[bytes]:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if isinstance(frame, av.AudioFrame):
                yield frame.to_ndarray().tobytes()


def _graph(rate: int, tempo: float, height: float) -> av.filter.Graph:
    """Return the filters that raise by `height`, as if played so much faster, and then change the tempo by `tempo`."""
    graph = av.filter.Graph()
    last = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono", time_base=Fraction(1, rate))
    steps = []
    if height != 1:
        steps += [("asetrate", str(round(rate * height))), ("aresample", str(rate))]
    while tempo < _SLOWEST:
        steps.append(("atempo", str(_SLOWEST)))
        tempo /= _SLOWEST
    steps += [("atempo", f"{tempo:.6f}"), ("aformat", "sample_fmts=s16:channel_layouts=mono"), ("abuffersink", "")]
    for name, settings in steps:
        step = graph.add(name, settings)
        last.link_to(step)
        last = step
    graph.configure()
    return graph
