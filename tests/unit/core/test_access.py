"""A key's form, its checksum, and the forms in which it is stored and shown."""

from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.access import KEY_BYTES, KEY_LENGTH, is_well_formed, key_digest, key_hint, make_key

BASE62 = string.digits + string.ascii_letters
RANDOM = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)


@given(RANDOM)
def test_a_key_has_its_form(random: bytes) -> None:
    """sk- and 49 digits of base62, right by its own checksum."""
    key = make_key(random)
    assert len(key) == KEY_LENGTH == 52
    assert key.startswith("sk-")
    assert set(key[3:]) <= set(BASE62)
    assert is_well_formed(key)


@given(RANDOM, RANDOM)
def test_different_bytes_make_different_keys(first: bytes, second: bytes) -> None:
    """No byte is lost on the way to base62."""
    assert (make_key(first) == make_key(second)) == (first == second)


@pytest.mark.parametrize("random", [bytes(KEY_BYTES), b"\xff" * KEY_BYTES, bytes(range(KEY_BYTES))])
def test_every_change_of_one_character_is_refused(random: bytes) -> None:
    """Each place, each other character of base62 and some from outside."""
    key = make_key(random)
    for place in range(len(key)):
        for other in BASE62 + "-_ ~é€":
            if other != key[place]:
                assert not is_well_formed(key[:place] + other + key[place + 1 :]), (place, other)


@given(RANDOM, st.data())
def test_cut_and_lengthened_keys_are_refused(random: bytes, data: st.DataObject) -> None:
    """So are two characters in each other's place."""
    key = make_key(random)
    place = data.draw(st.integers(0, KEY_LENGTH - 2))
    swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert is_well_formed(swapped) == (swapped == key)
    for wrong in ("", key[:-1], key[1:], key + "0", f" {key}", f"{key}\n"):
        assert not is_well_formed(wrong)


def test_a_key_is_made_of_32_bytes() -> None:
    """Fewer would be guessable."""
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        make_key(bytes(31))


def test_a_key_is_stored_as_its_sha256_and_shown_as_a_hint() -> None:
    """The hint has too few characters to find the rest."""
    key = make_key(bytes(range(KEY_BYTES)))
    assert key_digest(key) == hashlib.sha256(key.encode()).digest()
    assert key_hint(key) == f"{key[:7]}…{key[-4:]}"
