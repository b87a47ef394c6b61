"""Words in a length that espeak-ng reads to their end: of longer ones it drops the rest, Thai phrases among them."""

from __future__ import annotations

import unicodedata

#: espeak-ng's N_WORD_BYTES is 160, and parts of a word are spelt in more bytes than they have: from 112 on, Thai lost some.
MAX_WORD_BYTES = 90
#: Of a number of 40 digits, espeak-ng 1.52 read half.
MAX_DIGITS = 24


def with_short_words(text: str) -> str:
    """Return a text with a space inside each word or number that is too long, never before a mark of the letter before."""
    parts: list[str] = []
    size = digits = 0
    for character in text:
        is_mark = not character.isalnum() and unicodedata.category(character).startswith("M")
        if not character.isalnum() and not is_mark:
            size = digits = 0
        else:
            size += _bytes(character)
            digits = digits + 1 if character.isdigit() else 0
            if not is_mark and (size > MAX_WORD_BYTES or digits > MAX_DIGITS):
                parts.append(" ")
                size, digits = _bytes(character), int(character.isdigit())
        parts.append(character)
    return "".join(parts)


def _bytes(character: str) -> int:
    return len(character.encode(errors="surrogatepass"))
