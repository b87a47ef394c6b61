"""Makes finished speech faster or slower at the same pitch, for voices that cannot do it themselves (FFmpeg's atempo)."""

from __future__ import annotations

import av
import av.filter
import numpy as np

#: What one filter of atempo takes (https://ffmpeg.org/ffmpeg-filters.html#atempo); below it, several follow one another.
_LEAST = 0.5


def at_tempo(samples: bytes, rate: int, tempo: float) -> bytes:
    """Return samples of 16 bits at `tempo` times their speed, which is above 0; `rate`: samples a second."""
    if tempo == 1.0 or not samples:
        return samples
    graph = av.filter.Graph()
    last = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono")
    while tempo < _LEAST:
        last = _linked(graph, last, _LEAST)
        tempo /= _LEAST
    last = _linked(graph, last, tempo)
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.frombuffer(samples, "<i2")[np.newaxis, :], format="s16", layout="mono")
    frame.sample_rate = rate
    graph.push(frame)
    graph.push(None)
    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray().tobytes())
        except (av.error.EOFError, av.error.BlockingIOError):
            return b"".join(parts)


def _linked(
    graph: av.filter.Graph, before: av.filter.context.FilterContext, tempo: float
) -> av.filter.context.FilterContext:
    here = graph.add("atempo", str(tempo))
    before.link_to(here)
    return here
