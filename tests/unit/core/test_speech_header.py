"""The first bytes of sounds: those of each format, of no other, and what a WAV file's say of its sizes."""

from __future__ import annotations

import struct

import pytest

from minitoolai.core.speech import FORMATS, AudioFormat
from minitoolai.core.speech_header import HEAD_BYTES, begins_as, wav_sizes

#: How sounds of each format begin, as encoders write them.
HEADS: dict[AudioFormat, list[bytes]] = {
    "mp3": [b"ID3\x04\x00\x00\x00\x00\x00\x23", b"\xff\xfb\x90\x64", b"\xff\xf3\x84\xc4", b"\xff\xfa\x90\x64"],
    "opus": [b"OggS\x00\x02" + bytes(22) + b"OpusHead"],
    "aac": [b"\xff\xf1\x50\x80", b"\xff\xf9\x5c\x40"],
    "flac": [b"fLaC\x00\x00\x00\x22"],
    "wav": [b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64"],
    "pcm": [b"\x00\x00", b"\x01\x00\x02\x00"],
}
#: What engines gave in place of sounds.
VORBIS = b"OggS\x00\x02" + bytes(22) + b"\x01vorbis"
NONE = (b"", b"\xff", b"<!DOCTYPE html>", b'{"error": {}}', b"\x89PNG\r\n\x1a\n", VORBIS)


@pytest.mark.parametrize("sound_format", FORMATS)
def test_each_format_begins_in_its_own_way(sound_format: AudioFormat) -> None:
    """And in no other's; of raw samples anything may be one."""
    for head in HEADS[sound_format]:
        assert begins_as(sound_format, (head + bytes(HEAD_BYTES))[:HEAD_BYTES])
        others = [other for other in FORMATS if other not in (sound_format, "pcm") and begins_as(other, head)]
        assert others == ([] if not head.startswith(b"ID3") else ["aac"])
    for other in NONE:
        assert begins_as(sound_format, other) is (sound_format == "pcm" and len(other) > 1)


def wav(samples: int, *chunks: tuple[bytes, int], riff: int = 0xFFFFFFFF, data: int = 0xFFFFFFFF) -> bytes:
    """Return a WAV file with chunks of these lengths before its samples, and these sizes in its head."""
    before = b"".join(name + struct.pack("<I", size) + bytes(size + size % 2) for name, size in chunks)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVE" + before + b"data" + struct.pack("<I", data) + bytes(samples)


@pytest.mark.parametrize("chunks", [[(b"fmt ", 16)], [(b"fmt ", 18), (b"LIST", 27)], []])
def test_a_streamed_wav_file_is_told_its_sizes(chunks: list[tuple[bytes, int]]) -> None:
    """The whole file's without its first 8 bytes, and its samples', wherever they begin."""
    file = bytearray(wav(1000, *chunks))
    for place, size in wav_sizes(bytes(file[:200]), len(file)):
        file[place : place + 4] = size
    assert bytes(file) == wav(1000, *chunks, riff=len(file) - 8, data=1000)


def test_what_is_right_or_has_no_samples_stays() -> None:
    """Nothing is written over what is not known."""
    right = wav(10, (b"fmt ", 16), riff=46, data=10)
    assert wav_sizes(right, len(right)) == []
    for head in (b"", b"fLaC", right[:36], right[:40], b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff", b"RF64" + right[4:]):
        assert wav_sizes(head, 1000) == []
