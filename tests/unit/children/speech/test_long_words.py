"""Words that espeak-ng would not read to their end."""

from __future__ import annotations

import unicodedata

import pytest

from minitoolai.children.speech.long_words import MAX_DIGITS, MAX_WORD_BYTES, with_short_words
from tests.support.spellers import PIPER, running_speller


@pytest.mark.parametrize(
    "text",
    ["", "Hello, world.", "Donaudampfschifffahrtsgesellschaftskapitän", "1" * MAX_DIGITS, "a-" * 200, "😀" * 100, "สวัสดีครับ"],
)
def test_usual_texts_stay(text: str) -> None:
    """Nothing is changed in words of a length that is met."""
    assert with_short_words(text) == text


@pytest.mark.parametrize("unit", ["a", "é", "ก", "กั", "कि", "9", "你", "a1"])
def test_long_ones_are_parted(unit: str) -> None:
    """No part is longer than espeak-ng reads, none begins with a mark, and nothing is lost."""
    parts = with_short_words(unit * 300).split(" ")
    assert "".join(parts) == unit * 300
    for part in parts:
        assert unicodedata.category(part[0])[0] != "M"
        assert len(part.encode()) <= MAX_WORD_BYTES + 6
        assert not part.isdigit() or len(part) <= MAX_DIGITS


def test_espeak_reads_all_of_them() -> None:
    """A phrase of Thai without spaces has as many sounds as its parts: cut short, it would have fewer."""
    with running_speller(PIPER) as speller:
        for unit, language in (("กา", "th"), ("กั", "th"), ("با", "ar"), ("ba", "en-us"), ("か", "ja")):
            one = len("".join(speller.sounds(unit * 4, language)[0])) / 4
            assert len("".join(speller.sounds(unit * 140, language)[0])) >= 0.8 * 140 * one
