"""Ids are UUIDs version 7, ordered by their time."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.ids import request_id, uuid7

TIMES = st.integers(0, 2**48 - 1)
NOISE = st.binary(min_size=10, max_size=10)


@given(TIMES, NOISE)
def test_the_bits_are_those_of_rfc_9562(unix_ms: int, noise: bytes) -> None:
    """48 bits of time, version 7, variant 10, 74 bits of the noise: all but its first six."""
    made = uuid7(unix_ms, noise)
    assert made.int >> 80 == unix_ms
    assert made.version == 7
    assert made.variant == RFC_4122
    random = ((made.int >> 64 & 0xFFF) << 62) | (made.int & (2**62 - 1))
    assert random == int.from_bytes(noise, "big") & (2**74 - 1)


@given(TIMES, TIMES, NOISE, NOISE)
def test_a_later_time_sorts_later(first: int, second: int, noise: bytes, other: bytes) -> None:
    """As numbers, as bytes and as text."""
    if first < second:
        early, late = uuid7(first, noise), uuid7(second, other)
        assert early < late
        assert early.bytes < late.bytes
        assert str(early) < str(late)


def test_the_example_of_rfc_9562() -> None:
    """Appendix A.6."""
    noise = ((0xCC3 << 62) | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(0x017F22E279B0, noise) == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


def test_a_request_id_is_the_calls() -> None:
    """Prefix and hexadecimal digits."""
    assert request_id(UUID(int=1)) == "req_" + "0" * 31 + "1"
