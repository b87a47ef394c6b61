"""Cuts a text into the pieces that are spoken one after another: sentences, and parts of long ones.

Where a sentence ends is told from its marks and from what stands beside them; nothing is learned and nothing is looked up
but a short list of abbreviations. No character is lost: the pieces and what separates them are the whole text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

#: Characters of a piece: about twenty seconds of speech, and far below the 510 sounds that Kokoro takes at once.
MAX_PIECE_CHARACTERS = 300
#: Characters of the first piece, where a clause ends in time: sound begins the sooner.
FIRST_PIECE_CHARACTERS = 120

#: End a sentence where white space follows.
_SPACED_ENDS = frozenset(".!?…‼⁇⁈⁉‽⸮")
#: End a sentence whatever follows, in scripts that write no spaces or have a mark for nothing else.
_WIDE_ENDS = frozenset("。！？｡．؟۔।॥։።፧។៕။༎")
_LINE_ENDS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
#: End a clause: those that a space follows, and those of the scripts that write none.
_SPACED_MARKS = frozenset(",;:،؛–—…፣፤፥")
_WIDE_MARKS = frozenset("、，；：・")
_CLOSERS = frozenset("\"'”’»›)]}）】」』〉》〕*_")
#: What a sentence's end may consist of.
_CLOSING = _SPACED_ENDS | _WIDE_ENDS | _CLOSERS
#: Stand between the end of a sentence and the first letter of the next.
_OPENERS = frozenset("\"'“”„‘‚«»‹›([{（【「『〈《¿¡—–-*_#•")
#: How far a mark looks to either side, in characters: longer than any abbreviation, and a bound on the work.
_REACH = 12
#: A line at least this long that goes on in lower case was wrapped by an editor.
_WRAPPED_LINE = 40
#: Written with a dot before a name; one letter alone counts besides.
_BEFORE_NAMES = frozenset(
    {
        "al", "bł", "capt", "dott", "dr", "dra", "fr", "gen", "hr", "im", "ing", "inż", "kard", "kpt", "ks", "lt", "mgr",
        "mme", "mr", "mrs", "ms", "mt", "np", "os", "pl", "płk", "pn", "ppłk", "prof", "rev", "sgt", "sr", "sra", "srta",
        "st", "ste", "sv", "św", "tzw", "ul", "vs", "zob", "вул", "ім", "пл", "св", "ул",
    }
)  # fmt: skip
#: Written with a dot before a number, besides.
_BEFORE_NUMBERS = frozenset(
    {
        "abs", "approx", "art", "bd", "ca", "cap", "ch", "dz", "eq", "fig", "godz", "kap", "kl", "lp", "nº", "no", "nr",
        "núm", "ok", "par", "pkt", "por", "poz", "pp", "rozdz", "ryc", "sec", "str", "tab", "tel", "tom", "ust", "vol", "гл",
        "рис", "см", "ст", "стр", "тел",
    }
)  # fmt: skip
#: Joins two pictures into one.
_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of a text, and where it ends there."""

    #: Without the white space around it; empty only where the whole text is white space.
    text: str
    #: Index into the text after the piece and the white space that follows it.
    ends_at: int


def sentences(text: str, most: int = MAX_PIECE_CHARACTERS) -> list[Sentence]:
    """Return the pieces of a text in their order, each of at most `most` characters; none for an empty text.

    A piece never begins inside a combined character, unless one alone is longer than `most`. The work grows as the text
    does. `most` is at least 1.
    """
    if not text.strip():
        return [Sentence("", len(text))] if text else []
    pieces: list[Sentence] = []
    begin = 0
    for end in _ends(text):
        while True:
            first = _after_space(text, begin, end)
            if first == end:
                break
            last = _before_space(text, first, end)
            cut = _cut(text, first, last, most, not pieces)
            if cut == last:
                pieces.append(Sentence(text[first:last], end))
                break
            pieces.append(Sentence(text[first : _before_space(text, first, cut)], cut))
            begin = cut
        begin = end
    # White space after a piece belongs to it.
    return [Sentence(piece.text, _after_space(text, piece.ends_at, len(text))) for piece in pieces]


def _ends(text: str) -> Iterator[int]:
    """Yield where sentences end; the last is the text's length. Marks without a word before them end none."""
    length, at, line, has_word = len(text), 0, 0, False
    while at < length:
        mark = text[at]
        if mark in _LINE_ENDS:
            after = _after_space(text, at, length)
            if has_word and not _wrapped(text, at, line, after):
                yield after
                has_word = False
            at = line = after
        elif mark in _SPACED_ENDS or mark in _WIDE_ENDS:
            closed = _after_marks(text, at)
            if has_word and _is_end(text, at, closed):
                yield closed
                has_word = False
            at = closed
        else:
            has_word = has_word or mark.isalnum()
            at += 1
    yield length


def _after_marks(text: str, at: int) -> int:
    """Return the index behind a run of marks and of what closes with them: quotes, brackets, an emoji's selector."""
    at += 1
    while at < len(text) and (text[at] in _CLOSING or _joined(text, at)):
        at += 1
    return at


def _is_end(text: str, at: int, closed: int) -> bool:
    """Tell whether a sentence ends with the marks from `at` up to `closed`."""
    if closed >= len(text):
        return True
    follows = text[closed]
    run = text[at : min(closed, at + _REACH)]
    if any(mark in _WIDE_ENDS for mark in run):
        return run != "．" or not follows.isdigit()
    if not follows.isspace():
        # Scripts without spaces use the marks of others, too; in all else a dot is part of a number, an address, a name.
        return run[0] not in ".…" and _is_wide(follows)
    head = _head(text, closed)
    if head.islower():
        # A quoted question or shout inside a sentence, and an abbreviation.
        return run[0] not in ".…" and not any(mark in _CLOSERS for mark in run)
    if run != ".":
        return True
    return not _abbreviates(text, at, head)


def _head(text: str, at: int) -> str:
    """Return the first letter or digit of what comes after a sentence's end; "" where none is near."""
    for character in text[at : at + _REACH]:
        if character.isalnum():
            return character
        if not character.isspace() and character not in _OPENERS:
            return ""
    return ""


def _abbreviates(text: str, at: int, head: str) -> bool:
    """Tell whether the dot at `at` belongs to the word before it; the next sentence would begin with `head`."""
    begin = at
    while begin and at - begin < _REACH and (text[begin - 1].isalnum() or text[begin - 1] == "."):
        begin -= 1
    word = text[begin:at].casefold()
    if "." in word:
        # "z.B.", "U.S.", "o.o.": letters with dots between.
        return all(len(part) <= 1 for part in word.split("."))
    if word.isdecimal():
        # "3. Oktober", and the number of a list's item; a year ends a sentence.
        return len(word) <= 2 and not head.isdecimal()
    if len(word) == 1 and word.isalpha() and not _is_wide(word):
        # An initial; English "I" ends a sentence more often than it begins a name.
        return text[begin:at] != "I"
    return word in _BEFORE_NAMES or (word in _BEFORE_NUMBERS and head.isdecimal())


def _wrapped(text: str, at: int, line: int, after: int) -> bool:
    """Tell whether the end of line at `at` stands inside a sentence: a long line that goes on in lower case."""
    if at - line < _WRAPPED_LINE or after >= len(text) or not text[after].islower():
        return False
    return sum(character in _LINE_ENDS for character in text[at : min(after, at + _REACH)].replace("\r\n", "\n")) == 1


def _cut(text: str, begin: int, end: int, most: int, is_first: bool) -> int:
    """Return where the piece that begins at `begin` ends: `end`, or before it where the piece would be too long."""
    if is_first and end - begin > FIRST_PIECE_CHARACTERS and most >= FIRST_PIECE_CHARACTERS:
        for at in range(begin + FIRST_PIECE_CHARACTERS, begin + FIRST_PIECE_CHARACTERS // 4, -1):
            if _ends_clause(text, at):
                return at
    if end - begin <= most:
        return end
    # Not before a quarter: else a text of many marks would be read once for each of them.
    least = begin + max(1, most // 4)
    for at in range(begin + most, least, -1):
        if _ends_clause(text, at):
            return at
    for at in range(begin + most, least, -1):
        if text[at].isspace() and not _joined(text, at + 1):
            return at
    for at in range(begin + most, least, -1):
        if not _joined(text, at) and not _paired(text, begin, at):
            return at
    return begin + most


def _ends_clause(text: str, at: int) -> bool:
    """Tell whether a clause ends right before `at`, which is inside the text."""
    before = text[at - 1]
    if before in _WIDE_MARKS or before in _WIDE_ENDS:
        # As in "３，０００" and "１２：３０".
        return not text[at].isdigit() and not _joined(text, at)
    if not text[at].isspace() or _joined(text, at + 1):
        return False
    return before in _SPACED_MARKS or before in _SPACED_ENDS or (before in _CLOSERS and not before.isalnum())


def _joined(text: str, at: int) -> bool:
    """Tell whether what stands at `at` belongs to the character before it (after UAX 29, in short)."""
    character, before = text[at], text[at - 1]
    if character < "\u0300":
        return before == _JOINER and not character.isspace() and not character.isascii()
    return (
        _JOINER in (before, character)
        or unicodedata.category(character) in ("Mn", "Mc", "Me")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # colours of skin
        or "\U000e0020" <= character <= "\U000e007f"  # tags of flags
        or "\u1160" <= character <= "\u11ff"  # parts of Korean syllables
        or ("\udc00" <= character <= "\udfff" and "\ud800" <= before <= "\udbff")
    )


def _paired(text: str, begin: int, at: int) -> bool:
    """Tell whether the letters at `at` and before it are one flag: they pair up from the first of their run."""
    first = at
    while first > begin and "\U0001f1e6" <= text[first - 1] <= "\U0001f1ff":
        first -= 1
    return "\U0001f1e6" <= text[at] <= "\U0001f1ff" and (at - first) % 2 == 1


def _is_wide(character: str) -> bool:
    """Tell whether a letter is of a script that writes no spaces between words."""
    return (
        "\u2e80" <= character <= "\ua4cf"
        or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef"
        or "\u0e00" <= character <= "\u0eff"
        or "\U00020000" <= character <= "\U0003ffff"
    )


def _after_space(text: str, at: int, end: int) -> int:
    while at < end and text[at].isspace():
        at += 1
    return at


def _before_space(text: str, begin: int, at: int) -> int:
    while at > begin and text[at - 1].isspace():
        at -= 1
    return at
