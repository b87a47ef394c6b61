"""How long a packet of sound is by its own first bytes, whatever the file around it says (sans I/O)."""

from __future__ import annotations

#: Samples a second that Opus counts in (RFC 6716, 2).
OPUS_RATE = 48_000
#: Samples of a frame by the lower bits of an Opus packet's configuration: SILK, hybrid, CELT (RFC 6716, 3.1).
_SILK, _HYBRID, _CELT = (480, 960, 1920, 2880), (480, 960), (120, 240, 480, 960)


def opus_samples(packet: bytes | memoryview) -> int:
    """Return the samples of an Opus packet, at 48,000 a second (RFC 6716, 3). Raises `ValueError` for what is none."""
    if len(packet) < 1:
        raise ValueError("an empty packet")
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        frame = _SILK[configuration & 3]
    elif configuration < 16:
        frame = _HYBRID[configuration & 1]
    else:
        frame = _CELT[configuration & 3]
    if code < 3:
        return frame * (1 if code == 0 else 2)
    if len(packet) < 2:
        raise ValueError("a packet without its count of frames")
    return frame * (packet[1] & 0x3F)


def flac_samples(packet: bytes | memoryview) -> int:
    """Return the samples of a FLAC frame, at the rate of its stream (RFC 9639, 9.1). Raises `ValueError` for what is
    none."""
    if len(packet) < 5 or packet[0] != 0xFF or packet[1] & 0xFE != 0xF8:
        raise ValueError("no frame of FLAC")
    code = packet[2] >> 4
    if code == 0:
        raise ValueError("a frame of a reserved size")
    if code == 1:
        return 192
    if code < 6:
        return 144 << code
    if code >= 8:
        return 1 << code
    # The size stands behind the frame's number, which is coded as UTF-8 codes a character (RFC 9639, 9.1.5).
    lead, at = packet[4], 5
    while lead & 0xC0 == 0xC0:
        lead, at = (lead << 1) & 0xFF, at + 1
    size = bytes(packet[at : at + code - 5])
    if len(size) < code - 5:
        raise ValueError("a frame without its size")
    return int.from_bytes(size, "big") + 1


def alac_samples(packet: bytes | memoryview, usual: int) -> int:
    """Return the samples of a packet of ALAC, of which most have the `usual` count of their stream's cookie
    (https://github.com/macosforge/alac, ALACMagicCookieDescription.txt and ALACDecoder.cpp). Raises `ValueError`."""
    if len(packet) < 7:
        raise ValueError("no packet of ALAC")
    head = int.from_bytes(bytes(packet[:7]), "big")
    # An element's tag and number (7 bits), 12 unused ones, whether a count follows, 3 bits, and the count.
    return head >> 1 & 0xFFFFFFFF if head >> 36 & 1 else usual


def alac_usual(cookie: bytes) -> int:
    """Return how many samples most packets of a stream of ALAC have. Raises `ValueError`."""
    at = cookie.find(b"alac") + 8 if b"alac" in cookie else 0
    usual = int.from_bytes(cookie[at : at + 4], "big")
    if not 0 < usual <= 1 << 20:
        raise ValueError("no cookie of ALAC")
    return usual
