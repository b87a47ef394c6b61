"""Sound files of a known length, in every format that callers may send, and files that only look like it."""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO
from typing import Any

import av
import numpy as np

#: Of each format: FFmpeg's muxer, codec and rate.
KINDS: dict[str, tuple[str, str, int]] = {
    "mp3": ("mp3", "libmp3lame", 16_000),
    "mp3 of 44.1 kHz": ("mp3", "libmp3lame", 44_100),
    "mpga": ("mp2", "mp2", 48_000),
    "ogg": ("ogg", "libopus", 48_000),
    "ogg of flac": ("ogg", "flac", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "m4a": ("ipod", "aac", 44_100),
    "mp4": ("mp4", "aac", 16_000),
    "mp4 of alac": ("mp4", "alac", 16_000),
    "mp4 of flac": ("mp4", "flac", 16_000),
    "mp4 of opus": ("mp4", "libopus", 48_000),
    "mpeg": ("mpeg", "mp2", 48_000),
    "flac": ("flac", "flac", 16_000),
    "wav": ("wav", "pcm_s16le", 16_000),
}
#: What encoders put around a sound, in milliseconds: two frames and a half of MPEG-2 at 16 kHz.
AROUND_MS = 100


@cache
def sound(kind: str = "wav", seconds: float = 1.0) -> bytes:
    """Return a tone."""
    muxer, codec, rate = KINDS[kind]
    out = BytesIO()
    with av.open(out, "w", format=muxer) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="mono")
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        tone = (np.sin(np.arange(round(rate * seconds)) * 0.1) * 8000).astype(np.int16)
        for at in range(0, len(tone), 4096):
            given = av.AudioFrame.from_ndarray(tone[None, at : at + 4096].copy(), format="s16", layout="mono")
            given.sample_rate, given.pts = rate, at
            for frame in resampler.resample(given):
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def wav(data: bytes, *, rate: int = 8000, says: int | None = None) -> bytes:
    """Return a WAV file of one byte a sample; `says`: how many bytes its head says that it has."""
    size = len(data) if says is None else says
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    riff = struct.pack("<4sI4s", b"RIFF", min(36 + size, 0xFFFFFFFF), b"WAVE")
    return riff + head + struct.pack("<4sI", b"data", size) + data


def tagged(data: bytes, size: int = 300) -> bytes:
    """Return a file behind an ID3 tag of that size."""
    packed = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + packed + bytes(size) + data


def hurried(mp4: bytes) -> bytes:
    """Return an MP4 file whose head says that each of its packets is one sample long."""
    at = mp4.index(b"stts") + 8
    (count,) = struct.unpack_from(">I", mp4, at)
    changed = bytearray(mp4)
    for entry in range(count):
        struct.pack_into(">I", changed, at + 8 + 8 * entry, 1)
    return bytes(changed)


def two_tracks(*seconds: float) -> bytes:
    """Return a WebM file with several tracks of sound, one after the other as long as that."""
    out = BytesIO()
    with av.open(out, "w", format="webm") as container:
        streams: list[Any] = [container.add_stream("libopus", rate=48_000, layout="mono") for _ in seconds]
        for stream, length in zip(streams, seconds, strict=True):
            for at in range(0, round(48_000 * length), 960):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
                frame.sample_rate, frame.pts = 48_000, at
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return out.getvalue()


@cache
def film() -> bytes:
    """Return an MP4 file with a moving picture and no sound."""
    out = BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((96, 64), np.uint8), format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


@cache
def flac_bomb() -> bytes:
    """Return 25 MiB of FLAC that are some 41 hours of silence."""
    out = BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream: Any = container.add_stream("flac", rate=8000, layout="mono")
        for at in range(0, 8000 * 600, 4608):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4608), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = out.getvalue()
    frames = whole[whole.index(b"\xff\xf8") :]
    return whole + frames * ((25 * 1024 * 1024 - len(whole)) // len(frames))
