"""Whether what an engine gave for speech is a sound of the format that was asked for, as far as its first bytes say."""

from __future__ import annotations

from minitoolai.core.speech import AudioFormat

#: Bytes that are looked at, of a longer sound.
HEAD_BYTES = 36


def begins_as(sound_format: AudioFormat, head: bytes) -> bool:
    """Whether `head`, the first `HEAD_BYTES` of a sound or all of a shorter one, begins a sound of that format.

    Raw samples (`pcm`) are any bytes. RFC 9639 §8.1 (flac), RFC 7845 §5.1 (opus in Ogg), RFC 3003 and ISO/IEC 13818-7
    §6.2 (the sync words of MPEG audio, layer III, and of ADTS), RFC 2361 (wav; RF64: EBU Tech 3306).
    """
    if sound_format == "flac":
        return head.startswith(b"fLaC")
    if sound_format == "wav":
        return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"
    if sound_format == "opus":
        return head.startswith(b"OggS") and head[28:36] == b"OpusHead"
    if sound_format == "mp3":
        return head.startswith(b"ID3") or _syncs(head, 0xE6, 0xE2)
    if sound_format == "aac":
        return head.startswith(b"ID3") or _syncs(head, 0xF6, 0xF0)
    return len(head) > 1


def wav_sizes(head: bytes, size_bytes: int) -> list[tuple[int, bytes]]:
    """Return what a WAV file's head should say of its sizes, and where: one that was streamed could not know them.

    `head`: its first bytes; `size_bytes`: of the whole file. Nothing where the head has no samples' chunk, or is right.
    The layout is that of IBM's and Microsoft's Multimedia Programming Interface and Data Specifications 1.0 (1991).
    """
    at = 12
    while head.startswith(b"RIFF") and at + 8 <= len(head):
        if head[at : at + 4] == b"data":
            sizes = [(4, size_bytes - 8), (at + 4, size_bytes - at - 8)]
            wanted = [(place, size.to_bytes(4, "little")) for place, size in sizes]
            return [(place, size) for place, size in wanted if head[place : place + 4] != size]
        length = int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return []


def _syncs(head: bytes, mask: int, wanted: int) -> bool:
    """Whether a frame begins here: eight bits set, and of the next byte those of `mask` as `wanted`."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & mask == wanted
