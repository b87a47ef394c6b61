"""Sound files that are written while they are spoken, as a decoder reads them."""

from __future__ import annotations

import gc
import math
import os
import sys
import wave
from array import array
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest

from minitoolai.children.speech.encoding import RATES, SAMPLE_BYTES, encoder, warm_up
from minitoolai.core.speech import FORMATS, PCM_RATE, AudioFormat
from tests.support.speaking_child import heard

#: Samples by which a file may be longer than what was put in: a frame of each codec (ISO/IEC 11172-3 and 14496-3), and
#: the delay of its encoder (LAME's 1105, 1024 of FFmpeg's AAC). The others tell their decoders what to leave out.
LONGER_SAMPLES: dict[AudioFormat, int] = {"mp3": 1152 + 1105, "aac": 1024 + 1024, "opus": 0, "flac": 0, "wav": 0, "pcm": 0}
#: Seconds of sound after which the first bytes are there at the latest: one block of FLAC, one frame and the delay of mp3.
FIRST_S: dict[AudioFormat, float] = {"mp3": 0.11, "aac": 0.13, "opus": 0.03, "flac": 0.3, "wav": 0.01, "pcm": 0.01}


def tone(rate: int, seconds: float) -> bytes:
    """Return samples of a tone."""
    return array("h", (round(8000 * math.sin(math.tau * 300 * at / rate)) for at in range(round(rate * seconds)))).tobytes()


def written(file_format: AudioFormat, rate: int, samples: bytes, step: int) -> list[bytes]:
    """Return what comes for each `step` samples, and at the end."""
    made = encoder(file_format, rate)
    size = step * SAMPLE_BYTES
    parts = [made.feed(samples[start : start + size]) for start in range(0, len(samples), size)]
    parts.append(made.finish())
    made.close()
    return parts


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 37800, 48000])
def test_a_decoder_hears_what_was_spoken(file_format: AudioFormat, rate: int) -> None:
    """One channel, as long as it was but for a frame and the encoder's delay, and the tone is there for all its time."""
    sound = heard(b"".join(written(file_format, rate, tone(rate, 1.5), 500)), file_format)
    assert sound.channels == 1
    longer = sound.seconds - 1.5
    assert -0.001 <= longer <= LONGER_SAMPLES[file_format] / min(sound.rate, rate) + 0.001
    assert sound.loud_s == pytest.approx(1.5, abs=0.03)


@pytest.mark.parametrize(
    ("file_format", "rate", "heard_rate"),
    [
        ("mp3", 22050, 22050), ("aac", 24000, 24000), ("mp3", 37800, 44100), ("aac", 7000, 8000), ("aac", 96000, 48000),
        ("opus", 22050, 48000), ("flac", 37800, 37800), ("wav", 37800, 37800),
    ],
)  # fmt: skip
def test_the_engines_rate_is_kept_where_it_can_be(file_format: AudioFormat, rate: int, heard_rate: int) -> None:
    """Otherwise the next higher one that the codec knows; Opus has one only."""
    assert heard(b"".join(written(file_format, rate, tone(rate, 0.2), 1000)), file_format).rate == heard_rate


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_first_bytes_come_early(file_format: AudioFormat) -> None:
    """Long before the sentence ends, and after that they keep coming."""
    parts = written(file_format, 22050, tone(22050, 3.0), 220)
    assert next(number for number, part in enumerate(parts) if part) * 0.01 < FIRST_S[file_format]
    gaps = [number for number, part in enumerate(parts) if part]
    assert max(later - sooner for sooner, later in pairwise(gaps)) * 0.01 < 0.25


@pytest.mark.parametrize("file_format", FORMATS)
def test_how_it_is_cut_makes_no_difference(file_format: AudioFormat) -> None:
    """A few samples at a time or all at once, the sound is the same."""
    samples = tone(16000, 0.3)
    whole, cut = (heard(b"".join(written(file_format, 16000, samples, step)), file_format) for step in (len(samples), 37))
    assert cut == whole


@pytest.mark.parametrize("file_format", ["flac", "wav"])
def test_formats_without_loss_lose_nothing(file_format: AudioFormat) -> None:
    """Every sample is what it was."""
    samples = tone(22050, 0.5)
    assert heard(b"".join(written(file_format, 22050, samples, 999)), file_format).samples.tobytes() == samples


def test_pcm_at_its_own_rate_is_left_alone() -> None:
    """Nothing is computed."""
    samples = tone(PCM_RATE, 0.1)
    assert written("pcm", PCM_RATE, samples, 2400) == [samples, b""]


def test_python_reads_the_wav() -> None:
    """Its `wave` takes the unknown length for the largest there is, and reads what is there."""
    samples = tone(22050, 0.5)
    with wave.open(BytesIO(b"".join(written("wav", 22050, samples, 999)))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22050)
        assert file.getnframes() == 0xFFFFFFFF // 2
        assert file.readframes(file.getnframes()) == samples


def test_speech_is_small() -> None:
    """Bits a second of the compressed formats, for a tone: what speech takes at most, and a third more."""
    samples = tone(24000, 5.0)
    most: dict[AudioFormat, int] = {"mp3": 65_000, "aac": 85_000, "opus": 85_000}
    for file_format, bits_per_s in most.items():
        size = len(b"".join(written(file_format, 24000, samples, 4800)))
        assert size * 8 / 5.0 < bits_per_s


@pytest.mark.parametrize("file_format", ["mp3", "aac"])
def test_every_rate_of_the_table_is_known(file_format: AudioFormat) -> None:
    """Both codecs take it as it is."""
    for rate in RATES:
        assert heard(b"".join(written(file_format, rate, tone(rate, 0.2), 4000)), file_format).rate == rate


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's: LEAKS ARE NOT LOOKED FOR HERE")
def test_what_is_dropped_halfway_leaves_nothing() -> None:
    """200 files of each format that nobody waits for: no descriptor stays open, and the memory is used again."""

    def drop(count: int) -> None:
        for file_format in FORMATS:
            for _ in range(count):
                made = encoder(file_format, 22050)
                made.feed(samples)
                made.close()

    samples = tone(22050, 0.3)
    warm_up()
    drop(100)
    gc.collect()
    descriptors, memory = len(os.listdir("/proc/self/fd")), _resident_bytes()
    drop(200)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    gc.collect()
    assert _resident_bytes() - memory < 8_000_000, "16 KB of each codec's would be 19 MB"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
