"""A sound's format is told from its first bytes, and nothing else is."""

from __future__ import annotations

import pytest

from minitoolai.core.sound_header import FLAC, MP3, MP4, MPEG, OGG, WAV, WEBM, SoundFormat, sound_format
from tests.support.sounds import sound, tagged, wav

EXPECTED = {
    "mp3": MP3, "mp3 of 44.1 kHz": MP3, "mpga": MP3, "ogg": OGG, "ogg of flac": OGG, "webm": WEBM, "m4a": MP4, "mp4": MP4,
    "mp4 of alac": MP4, "mpeg": MPEG, "flac": FLAC, "wav": WAV,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "expected"), EXPECTED.items())
def test_every_format(kind: str, expected: SoundFormat) -> None:
    """As OpenAI takes them, by what is in them."""
    assert sound_format(sound(kind)) is expected


def test_tags() -> None:
    """What stands behind them counts; alone they are an MP3 of nothing."""
    assert sound_format(tagged(sound("flac"))) is FLAC
    assert sound_format(tagged(tagged(sound("flac"), 70_000))) is FLAC
    assert sound_format(tagged(b"")) is MP3
    footed = bytearray(tagged(b"", 300))
    footed[5] = 0x10
    assert sound_format(bytes(footed) + b"3DI\x04\0\x10\0\0\x02\x2c" + sound("flac")) is FLAC


def test_frames_of_mpeg_audio() -> None:
    """Every version and layer there is; AAC's frames, which look like them, are none."""
    for second in range(256):
        version, layer = second >> 3 & 3, second >> 1 & 3
        is_frame = second >= 0xE0 and version != 1 and layer != 0
        assert (sound_format(bytes([0xFF, second, 0x90, 0])) is MP3) == is_frame
    assert sound_format(b"\xff\xf1\x50\x80\x01\x3f\xfc") is None


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"f", b"fLa", b"RIFF\0\0\0\0AVI ", b"RIFF", b"FORM\0\0\0\0AIFF", b"ID3", b"#EXTM3U\n", b"ftyp",
        b"<svg", b"\0\0\x01\xb3", b"\0\0\0\x20moov", bytes(100), wav(b"")[1:], b"ffconcat version 1.0",
    ],
)  # fmt: skip
def test_what_is_no_sound(data: bytes) -> None:
    """Other files, beginnings too short, playlists."""
    assert sound_format(data) is None


def test_every_beginning() -> None:
    """No length of a file is too short to be looked at, and none changes its mind."""
    for kind, expected in EXPECTED.items():
        whole = sound(kind)[:40]
        found = [sound_format(whole[:size]) for size in range(len(whole) + 1)]
        assert set(found) == {None, expected}
        assert found == sorted(found, key=lambda each: each is not None)
