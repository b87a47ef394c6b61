"""Takes from a text what libespeak-ng stumbles over, and nothing that is heard.

What is left may still crash the library: `mouth` is made for that. What is done here was found by having it speak at random
(1.52.0), and in its own list of faults (https://github.com/espeak-ng/espeak-ng/issues).
"""

from __future__ import annotations

import re
import unicodedata

#: Letters of a word: the library keeps 160 bytes of one, three to a letter; longer ones are read in parts.
MAX_WORD = 50
#: Marks upon one letter: Thai and Vietnamese have two, vocalised Hebrew three.
MAX_MARKS = 4

#: Said by nobody: controls, direction marks, private and unassigned characters.
_SILENT = frozenset({"Cc", "Cf", "Co", "Cn", "Cs"})
#: Joins emoji, and letters of Persian and of India's scripts, to others.
_JOINERS = frozenset("\u200c\u200d")
#: A mark is upon one of these, or it is nothing.
_BASES = ("L", "M", "N", "So", "Sk")

_LONG_WORD = re.compile(rf"[^\W_]{{{MAX_WORD}}}(?=[^\W_])")
#: Each is a suffix to the library, of which a word may have no more than its buffer holds.
_APOSTROPHES = re.compile(r"((?:[^\W_]+['’]){3})(?=[^\W_])")
#: An abbreviation of more letters than its buffer holds.
_DOTTED = re.compile(r"((?:[^\W_]\.){8})(?=[^\W_]\.)")
#: The same sign again and again is heard as often as three times, if at all.
_RUN = re.compile(r"([^\w\s])\1{3,}")
#: What every voice can say, for a text that is too much for the library.
_UNSPEAKABLE = re.compile(r"[^\w\s.,;:?!。，？！、]|_")


def cleaned(text: str) -> str:
    """Return a text as it may be spoken; "" where nothing of it is."""
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category[0] == "M":
            base = unicodedata.category(kept[-1]) if kept else ""
            marks += 1
            if base.startswith(_BASES) and marks <= MAX_MARKS:
                kept.append(character)
            continue
        marks = 0
        if category in _SILENT and character not in _JOINERS:
            # A direction mark or a soft hyphen parts no words; the others may.
            kept += [] if category == "Cf" else [" "]
        else:
            kept.append(character)
    words = "".join(kept)
    words = _RUN.sub(r"\1\1\1", words)
    words = _LONG_WORD.sub(r"\g<0> ", words)
    words = _APOSTROPHES.sub(r"\1 ", words)
    words = _DOTTED.sub(r"\1 ", words)
    return " ".join(words.split())


def plainest(text: str) -> str:
    """Return the letters, the numbers and the plain punctuation of a text, without any marks."""
    bare = (each for each in unicodedata.normalize("NFC", text) if unicodedata.category(each)[0] != "M")
    return cleaned(_UNSPEAKABLE.sub(" ", "".join(bare)))
