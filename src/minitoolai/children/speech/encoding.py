"""Sound files written while they are spoken: samples in, bytes of the file out as soon as they are ready.

No file says how long it is, since nobody knows when it begins; decoders read to the end. mp3 and AAC keep up to two
frames back until the end, Opus 200 ms, FLAC two blocks of 2304 samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from struct import pack
from typing import Any, Protocol, cast

import av

from minitoolai.core.speech import FORMATS, PCM_RATE, AudioFormat

#: Bytes of a sample: 16 bits, one channel.
SAMPLE_BYTES = 2
#: Samples a second that both mp3 and AAC know (ISO/IEC 13818-3 and 14496-3, MPEG 2.5); others become the next higher.
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
#: RIFF's sizes where nobody knows them yet: decoders read to the end of the file.
UNKNOWN_SIZE = 0xFFFFFFFF


class Encoder(Protocol):
    """Writes one sound file."""

    def feed(self, samples: bytes) -> bytes:
        """Return the file's next bytes, b"" where none are ready; `samples`: 16 bits each, little-endian, one channel."""
        ...

    def finish(self) -> bytes:
        """Return the file's last bytes."""
        ...

    def close(self) -> None:
        """Let go of everything, whether the file is complete or not."""
        ...


def encoder(file_format: AudioFormat, rate: int) -> Encoder:
    """Return what writes a file of a format from `rate` samples a second."""
    if file_format == "wav":
        return _Wav(rate)
    if file_format == "pcm":
        return _Pcm(rate)
    return _Compressed(_CODECS[file_format], rate)


def warm_up() -> None:
    """Have every codec built up once: the first call of each would pay for it, some milliseconds."""
    for file_format in FORMATS:
        each = encoder(file_format, RATES[0])
        each.finish()
        each.close()


class _Wav:
    """WAV: a header, then the samples as they are."""

    def __init__(self, rate: int) -> None:
        self._head = (
            pack("<4sI4s", b"RIFF", UNKNOWN_SIZE, b"WAVE")
            + pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
            + pack("<4sI", b"data", UNKNOWN_SIZE)
        )

    def feed(self, samples: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + samples

    def finish(self) -> bytes:
        return self.feed(b"")

    def close(self) -> None:
        """There is nothing to let go of."""


class _Pcm:
    """The samples themselves, `PCM_RATE` a second."""

    def __init__(self, rate: int) -> None:
        self._frames = _Frames(rate)
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=PCM_RATE) if rate != PCM_RATE else None

    def feed(self, samples: bytes) -> bytes:
        if self._resampler is None or not samples:
            return samples
        return _joined(self._resampler.resample(self._frames.frame(samples)))

    def finish(self) -> bytes:
        if self._resampler is None or not self._frames.fed:
            return b""
        return _joined(self._resampler.resample(None))

    def close(self) -> None:
        self._resampler = None


@dataclass(frozen=True, slots=True)
class _Codec:
    """How one format is written, in the words of FFmpeg."""

    container: str
    codec: str
    bits_per_s: int | None = None
    #: Samples a second; None: the engine's own, where the codec knows them.
    rate: int | None = None
    any_rate: bool = False
    #: Of the codec.
    options: Mapping[str, str] = field(default_factory=dict)
    #: Of the container.
    layout: Mapping[str, str] = field(default_factory=dict)


#: Speech of espeak-ng costs less than writing it down, so the codecs are told to hurry. Milliseconds of processor for ten
#: seconds of it, and the log-spectral distance, against their own choice: mp3 51 and 8.4 dB (97 and 7.6), Opus 30 and
#: 6.1 dB (100 and 6.1, at 32 kbit/s), AAC 40 and 3.4 dB (265 and 3.9).
_CODECS: Mapping[str, _Codec] = {
    # No frame that says how long the file is, and no tags: both would be written at its beginning, afterwards.
    "mp3": _Codec(
        "mp3", "libmp3lame", 64_000,
        options={"compression_level": "7"},
        layout={"write_xing": "0", "id3v2_version": "0"},
    ),
    # Constrained, since in a hurry it took 66 kbit/s of the 32 that it was given. Pages of a second, the usual ones, would
    # keep two seconds back: one is written when the next is full. A page costs 27 bytes and one for each 20 ms.
    "opus": _Codec(
        "ogg", "libopus", 40_000, rate=48_000,
        options={"compression_level": "5", "vbr": "constrained"},
        layout={"page_duration": "100000"},
    ),
    "aac": _Codec("adts", "aac", 64_000, options={"aac_coder": "fast"}),
    # Without 8 KiB of nothing for tags that never come.
    "flac": _Codec("flac", "flac", any_rate=True, layout={"metadata_header_padding": "0"}),
}  # fmt: skip


class _Compressed:
    """A file by FFmpeg's codecs."""

    def __init__(self, codec: _Codec, rate: int) -> None:
        self._sink = _Sink()
        self._frames = _Frames(rate)
        layout = {**codec.layout, "flush_packets": "1"}
        self._file = av.open(self._sink, "w", format=codec.container, container_options=layout)
        stream_rate = codec.rate or (rate if codec.any_rate else _known_rate(rate))
        stream = self._file.add_stream(codec.codec, rate=stream_rate, layout="mono", options=dict(codec.options))
        self._stream = cast("av.AudioStream", stream)
        self._stream.codec_context.thread_count = 1
        if codec.bits_per_s is not None:
            self._stream.bit_rate = codec.bits_per_s

    def feed(self, samples: bytes) -> bytes:
        if samples:
            self._encode(self._frames.frame(samples))
        return self._sink.taken()

    def finish(self) -> bytes:
        self._encode(None)
        self._file.close()
        return self._sink.taken()

    def close(self) -> None:
        self._file.close()

    def _encode(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._file.mux(packet)


class _Frames:
    """Makes FFmpeg's frames of samples, one after another."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._time_base = Fraction(1, rate)
        #: Samples so far.
        self.fed = 0

    def frame(self, samples: bytes) -> Any:
        """Return the frame of the next samples, at least one."""
        count = len(samples) // SAMPLE_BYTES
        frame = av.AudioFrame(format="s16", layout="mono", samples=count)
        frame.planes[0].update(samples)
        frame.sample_rate, frame.time_base, frame.pts = self._rate, self._time_base, self.fed
        self.fed += count
        return frame


class _Sink:
    """Where FFmpeg writes. It has no `seek`, so that nothing is mended afterwards at the beginning of the file."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take the next bytes."""
        self._written.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        written = b"".join(self._written)
        self._written.clear()
        return written


def _known_rate(rate: int) -> int:
    return next((known for known in RATES if known >= rate), RATES[-1])


def _joined(frames: list[Any]) -> bytes:
    """Return the samples of frames, without what FFmpeg has behind them to align them."""
    return b"".join(bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES] for frame in frames)
