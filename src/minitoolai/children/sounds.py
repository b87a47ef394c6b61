"""`python -m minitoolai.children.sounds`: measures how long callers' sounds are, away from everything else.

Each is taken apart in a fork of its own (`forks`), packet by packet and without decoding: what a file's head says of its
length is not believed. Only the file itself is read: its format is told from its first bytes, so that none which names
other files or addresses (playlists, lists of parts) is ever tried. The answer is `core/sound_wire`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from typing import Any

from minitoolai.children import forks
from minitoolai.children.report import BootError
from minitoolai.core.child_wire import frame
from minitoolai.core.packet_lengths import OPUS_RATE, alac_samples, alac_usual, flac_samples, opus_samples
from minitoolai.core.sound_header import sound_format
from minitoolai.core.sound_wire import MILLISECONDS, Verdict
from minitoolai.core.transcription import MAX_SOUND_BYTES, MAX_SOUND_MS

#: Codecs that FFmpeg may try while it finds out what is in a file: sound only, so that no frame of a film is decoded.
CODECS = "aac,ac3,alac,amrnb,amrwb,flac,mp1float,mp2float,mp3float,opus,vorbis,pcm_*"
#: Address space of one fork: 0.15 GB and four times the largest file.
MEMORY_BYTES = 300_000_000
#: Seconds of processor and of waiting for one sound: 25 MiB of Opus at 6 kbit/s are 1.7 million packets, which take 3 s.
CPU_S, WALL_S = 8, 20


def milliseconds(sound: bytes) -> int:
    """Return how long a sound is, rounded up: its packets together, of several tracks the longest.

    Raises `ValueError` where there is no sound in it, `TooMuch` for more than `MAX_SOUND_MS`, and whatever FFmpeg does.
    """
    import av

    found = sound_format(sound)
    if found is None:
        raise ValueError("no format that is known")
    options = {"format_whitelist": found.demuxer, "protocol_whitelist": "none", "codec_whitelist": CODECS}
    with av.open(BytesIO(sound), "r", format=found.demuxer, options=options, metadata_errors="ignore") as container:
        tracks = {stream.index: _Track(stream) for stream in container.streams.audio}
        if not tracks:
            raise ValueError("no sound")
        for packet in container.demux(container.streams.audio):
            tracks[packet.stream.index].take(packet)
        longest = max(track.milliseconds for track in tracks.values())
    if longest <= 0:
        raise ValueError("no packets of sound")
    return math.ceil(longest)


class _Track:
    """One track of sound, packet by packet; counted in whole numbers, since there may be millions."""

    def __init__(self, stream: Any) -> None:
        codec = stream.codec_context
        #: Milliseconds of the container's unit of time.
        self._unit = Fraction(stream.time_base) * 1000
        self._told = _told(codec)
        #: Samples of each packet where the codec makes all alike; 0: as many as it likes.
        self._each = codec.frame_size
        self._rate = OPUS_RATE if self._told is opus_samples else codec.sample_rate
        #: By samples, how long a packet of so many is at least, in the container's unit.
        self._least: dict[int, int] = {0: 0}
        self._most = math.ceil(MAX_SOUND_MS / self._unit)
        #: Of packets that are as long as the container says, the sum; of the others, their samples.
        self._said = self._samples = 0
        #: All of it, each packet rounded up, in the container's unit.
        self._about = 0

    def take(self, packet: Any) -> None:
        """Count a packet: as long as the container says, but not shorter than its codec makes it. Raises `TooMuch`, and
        `ValueError` for one that its codec did not make."""
        said = packet.duration or 0
        if not packet.size:
            return
        samples = self._each if self._told is None else self._told(memoryview(packet))
        least = self._least.get(samples)
        if least is None:
            least = self._least[samples] = math.ceil(self._length(samples) / self._unit)
        if said < least:
            self._samples += samples
            self._about += least
        else:
            self._said += said
            self._about += said
        if self._about > self._most:
            raise forks.TooMuch

    @property
    def milliseconds(self) -> Fraction:
        """How long it is so far."""
        return self._said * self._unit + self._length(self._samples)

    def _length(self, samples: int) -> Fraction:
        """Return the milliseconds of so many samples."""
        return Fraction(samples * 1000, self._rate) if self._rate else Fraction()


def _told(codec: Any) -> Callable[[memoryview], int] | None:
    """Return what reads how many samples a packet holds, of codecs whose packets say it themselves; None of others."""
    if codec.name == "alac":
        usual = alac_usual(codec.extradata or b"")
        return lambda packet: alac_samples(packet, usual)
    return {"opus": opus_samples, "libopus": opus_samples, "flac": flac_samples}.get(codec.name)


def _answer(sound: bytes) -> bytes:
    return frame(Verdict.LENGTH, MILLISECONDS.pack(milliseconds(sound)))


def _load_demuxers() -> None:
    """Import before the forks what each of them needs."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        why = f"PyAV is not installed ({error}). Install it: pip install av."
        raise BootError("decoder_missing", why) from error


#: How a sound is looked at.
LOOK = forks.Look(
    answer=_answer,
    most_bytes=MAX_SOUND_BYTES,
    memory_bytes=MEMORY_BYTES,
    cpu_s=CPU_S,
    wall_s=WALL_S,
    damaged=frame(Verdict.DAMAGED),
    too_much=frame(Verdict.TOO_LONG),
)

if __name__ == "__main__":
    forks.live("minitoolai.children.sounds", LOOK, _load_demuxers)
