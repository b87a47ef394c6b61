"""What packets of Opus and FLAC say of their own length, against encoders and against the tables of their formats."""

from __future__ import annotations

import io
from array import array
from math import sin
from typing import Any

import av
import pytest

from minitoolai.core.packet_lengths import alac_samples, alac_usual, flac_samples, opus_samples


def packets(codec: str, container: str, rate: int, options: dict[str, str]) -> list[tuple[bytes, int]]:
    """Return the packets of a second of sound, each with the samples that its encoder says it has."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, options=options)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=rate)
        samples = array("h", [int(9000 * sin(at * 0.05)) for at in range(rate)])
        frame = av.AudioFrame(format="s16", layout="mono", samples=rate)
        frame.planes[0].update(samples.tobytes())
        frame.rate, frame.pts = rate, 0
        made = [packet for part in resampler.resample(frame) for packet in stream.encode(part)]
        made += stream.encode(None)
        return [(bytes(packet), packet.duration or 0) for packet in made if packet.size]


@pytest.mark.parametrize("duration", ["2.5", "5", "10", "20", "40", "60"])
@pytest.mark.parametrize("application", ["audio", "voip"])
def test_opus_packets_of_an_encoder(duration: str, application: str) -> None:
    """Of every length that it makes."""
    options = {"frame_duration": duration, "application": application}
    made = packets("libopus", "ogg", 48_000, options)
    assert len(made) > 10
    assert {opus_samples(packet) for packet, _ in made} == {round(float(duration) * 48)}


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\x00", 480), (b"\x08", 960), (b"\x18", 2880), (b"\x60", 480), (b"\x68", 960), (b"\x80", 120), (b"\xf8", 960),
        (b"\x01", 960), (b"\x02\x01", 960), (b"\x03\x03", 1440), (b"\xfb\x06", 5760),
    ],
)  # fmt: skip
def test_opus_packets_of_the_table(packet: bytes, samples: int) -> None:
    """Configurations and counts of frames (RFC 6716, 3.1 and 3.2)."""
    assert opus_samples(packet) == samples


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000, 96_000])
def test_flac_frames_of_an_encoder(rate: int) -> None:
    """Whole frames, and the last one with what is left."""
    made = packets("flac", "flac", rate, {})
    assert len(made) > 3
    assert sum(flac_samples(packet) for packet, _ in made) == rate


@pytest.mark.parametrize(
    ("head", "samples"),
    [
        (b"\xff\xf8\x19\x08\x00\x00", 192), (b"\xff\xf8\x29\x08\x00\x00", 576), (b"\xff\xf9\x59\x08\x00\x00", 4608),
        (b"\xff\xf8\x89\x08\x00\x00", 256), (b"\xff\xf8\xf9\x08\x00\x00", 32768), (b"\xff\xf8\x69\x08\x05\xff", 256),
        (b"\xff\xf8\x79\x08\x05\x03\xe7", 1000), (b"\xff\xf8\x69\x08\xc2\x80\x0f", 16),
        (b"\xff\xf8\x79\x08\xe2\x82\xac\xff\xff", 65536),
    ],
)  # fmt: skip
def test_flac_frames_of_the_table(head: bytes, samples: int) -> None:
    """Codes, and sizes behind numbers of one, two and three bytes (RFC 9639, 9.1.1 and 9.1.6)."""
    assert flac_samples(head) == samples


@pytest.mark.parametrize("packet", [b"", b"\xff", b"fLaC\x00\x00", b"\xff\xf8\x09\x08\x00", b"\xff\xf8\x79\x08\x05\x03"])
def test_what_is_no_frame_of_flac(packet: bytes) -> None:
    """Too short, of another kind, of a reserved size."""
    with pytest.raises(ValueError, match="frame"):
        flac_samples(packet)


@pytest.mark.parametrize("packet", [b"", b"\x03"])
def test_what_is_no_packet_of_opus(packet: bytes) -> None:
    """Empty, or without its count."""
    with pytest.raises(ValueError, match="packet"):
        opus_samples(packet)


def test_alac_packets_of_an_encoder() -> None:
    """Whole packets have the usual count, and the last one its own."""
    coder: Any = av.CodecContext.create("alac", "w")
    coder.sample_rate, coder.layout, coder.format = 44_100, "mono", "s16p"
    coder.open()
    usual, made = alac_usual(bytes(coder.extradata)), []
    for at in range(0, 44_100, usual):
        frame = av.AudioFrame(format="s16p", layout="mono", samples=min(usual, 44_100 - at))
        frame.planes[0].update(bytes(2 * frame.samples))
        frame.rate, frame.pts = 44_100, at
        made += coder.encode(frame)
    made += coder.encode(None)
    assert sum(alac_samples(bytes(packet), usual) for packet in made if packet.size) == 44_100


@pytest.mark.parametrize("cookie", [b"", b"\x00" * 36, b"\xff" * 36])
def test_what_is_no_cookie_of_alac(cookie: bytes) -> None:
    """Empty, or of no size that there is."""
    with pytest.raises(ValueError, match="cookie"):
        alac_usual(cookie)
    with pytest.raises(ValueError, match="packet"):
        alac_samples(b"\x00", 4096)
