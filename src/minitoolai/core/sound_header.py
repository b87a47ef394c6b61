"""What a sound file's first bytes say: which format it is. Nothing else of them is believed."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes of an ID3v2 tag's head, and which of its flags says that as many follow it again
#: (https://id3.org/id3v2.4.0-structure, 3.1).
_ID3_HEAD, _ID3_FOOTER = 10, 0x10
#: ID3 tags before a sound at most: one is usual, two are seen.
_MOST_TAGS = 4


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """A format of sound files."""

    #: Of a file's name, by which engines know the format.
    ending: str
    #: FFmpeg's name of what takes such files apart.
    demuxer: str


#: The formats that OpenAI takes (https://platform.openai.com/docs/api-reference/audio/createTranscription): mpga is mp3, m4a
#: is mp4, mpeg is a program stream.
FLAC = SoundFormat("flac", "flac")
MP3 = SoundFormat("mp3", "mp3")
MP4 = SoundFormat("mp4", "mov")
MPEG = SoundFormat("mpeg", "mpeg")
OGG = SoundFormat("ogg", "ogg")
WAV = SoundFormat("wav", "wav")
WEBM = SoundFormat("webm", "matroska")

#: For error messages.
FORMATS = "flac, m4a, mp3, mp4, mpeg, mpga, ogg, wav or webm"


def sound_format(sound: bytes) -> SoundFormat | None:
    """Return the format of a file by its first bytes, ID3 tags aside; None: none that is taken."""
    at = _after_tags(sound)
    head = sound[at : at + 12]
    if head.startswith(b"fLaC"):
        return FLAC
    if at or _is_mpeg_frame(head):
        return MP3
    if head.startswith(b"OggS"):
        return OGG
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        return WAV
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM
    if head[4:8] == b"ftyp":
        return MP4
    return MPEG if head.startswith(b"\x00\x00\x01\xba") else None


def _after_tags(sound: bytes) -> int:
    """Return where the ID3 tags at the beginning of a file end."""
    at = 0
    for _ in range(_MOST_TAGS):
        head = sound[at : at + _ID3_HEAD]
        if not head.startswith(b"ID3") or len(head) < _ID3_HEAD:
            break
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        at += _ID3_HEAD + size + (_ID3_HEAD if head[5] & _ID3_FOOTER else 0)
    return at


def _is_mpeg_frame(head: bytes) -> bool:
    """Whether a frame of MPEG audio begins here: eleven bits that are set, then a version and a layer that there are."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08 and head[1] & 0x06 != 0
