"""Identifiers: time-ordered UUIDs for holds and transfers, and their public form."""

from __future__ import annotations

from uuid import UUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


def uuid7(unix_ms: int, random: bytes) -> UUID:
    """Return the UUID version 7 (RFC 9562 §5.7) of a time in milliseconds and 10 random bytes."""
    noise = int.from_bytes(random, "big")
    high = ((unix_ms & 0xFFFF_FFFF_FFFF) << 80) | _VERSION_7 | (((noise >> 62) & 0xFFF) << 64)
    return UUID(int=high | _VARIANT | (noise & 0x3FFF_FFFF_FFFF_FFFF))


def request_id(call_id: UUID) -> str:
    """Return the `x-request-id` of the call whose hold has the id `call_id`."""
    return f"req_{call_id.hex}"
