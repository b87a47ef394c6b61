"""What is taken from a text before espeak-ng speaks it."""

from __future__ import annotations

import unicodedata

import pytest

from minitoolai.children.espeak.cleaning import MAX_MARKS, MAX_WORD, cleaned, plainest


@pytest.mark.parametrize(
    "text",
    [
        "Zażółć gęślą jaźń.", "It's o'clock; rock 'n' roll!", "שָׁלוֹם", "مَرْحَبًا", "สวัสดีครับ ที่นี่", "ở Việt Nam", "你好，世界。",
        "क्षत्रिय", "می‌خواهم", "👩‍👩‍👧‍👦", "1️⃣", "❤️", "€5, $6 & 7%", "U.S.A.", "[[h@l'oU]]", "Wait...", "<b>x</b>",
    ],
)  # fmt: skip
def test_what_is_heard_stays(text: str) -> None:
    """Marks that belong to letters, joined letters and emoji, signs."""
    assert cleaned(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\0b", "a b"), ("\x1b[31mred\x07", "[31mred"), ("a\u202eb\u200fc", "abc"), ("soft\u00adware", "software"),
        ("\ufeffa", "a"), ("\u0301\u0301", ""), ("-\u0338", "-"), ("\ue000 \U0010ffff", ""), (" \n\t ", ""), ("\u200e", ""),
        ("!!!!!!!!", "!!!"), ("x" + "\u0303\u0302" * 50, "x" + "\u0303\u0302" * (MAX_MARKS // 2)),
        ("half \ud800", "half"), ("cafe\u0301", "café"),
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_what_is_silent_goes(text: str, left: str) -> None:
    """Controls, direction marks, marks upon nothing or by the dozen, and signs that say nothing again."""
    assert cleaned(text) == unicodedata.normalize("NFC", left)


def test_long_words_are_read_in_parts() -> None:
    """Letters, suffixes and abbreviations; no letter is lost, and what is cleaned stays as it is."""
    for text in ("a" * 4096, "s'" * 400, "a." * 500, "中" * 300, "9" * 1000):
        parts = cleaned(text)
        assert parts.replace(" ", "") == text
        assert max(map(len, parts.split())) <= MAX_WORD
        assert cleaned(parts) == parts


def test_the_plainest_text() -> None:
    """Letters, numbers and what parts sentences."""
    assert plainest("Hé, {you} ☃ #1 [[x]]!") == "Hé, you 1 x !"
    assert plainest("ß\u0338 ☃") == "ß"
