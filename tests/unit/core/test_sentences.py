"""Where sentences end, where long ones are cut, and that nothing of a text is lost."""

from __future__ import annotations

import unicodedata
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minitoolai.core.sentences import FIRST_PIECE_CHARACTERS, MAX_PIECE_CHARACTERS, Sentence, sentences

#: What cutting looks at, close together.
_MARKS = st.sampled_from(
    [*".!?…。！？؟।,;:、，—\"')»\n\r\v\u2028 \u00a0\u200d\ufe0f\u0301aAężI1٣你カ한ก🇵🇱👩🏽💻\ud83d\ude00", "e.g. ", "Dr. "]
)
_TEXTS = st.lists(st.one_of(_MARKS, st.characters(), st.sampled_from(["a" * 90, " " * 90, "x, " * 60])), max_size=60).map(
    "".join
)

#: As long as a line that an editor wraps.
_HEADING = "A heading that is long enough to be a line"


def texts(text: str, most: int = MAX_PIECE_CHARACTERS) -> list[str]:
    """Return the pieces of a text."""
    return [piece.text for piece in sentences(text, most)]


@pytest.mark.parametrize(
    "whole",
    [
        "It is 3.14 metres long.",
        "Dr. Smith and J. R. R. Tolkien met Mr. Brown.",
        "Bring fruit, e.g. apples, to the U.S. Embassy.",
        "See https://example.com/a.b?c=d.e&f for more.",
        "Spotkanie o godz. 12.30 przy ul. Długiej, art. 5.",
        "Firma ABC sp. z o.o. Zaprasza",
        "Am 3. Oktober kommt er, z.B. Mit dem Zug.",
        "Wait… what is that?",
        "The file is .profile, not v1.2.3a.",
        '"Stop!" he said.',
        "(Why?) she asked.",
        "Ask me at user@example.com.Now",
        "د. أحمد هنا",
        "1. First",
        "３．１４です",
        "this line is long enough to have been wrapped by\nan editor.",
        "this line is long enough to have been wrapped by\r\nan editor.",
    ],
)  # fmt: skip
def test_what_is_one_sentence(whole: str) -> None:
    """Dots of numbers, names, initials, abbreviations and addresses end none; nor do quoted questions and shouts."""
    assert texts(whole) == [whole]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello world. How are you? Fine!", ["Hello world.", "How are you?", "Fine!"]),
        ("Really?! No... Yes‼ ok", ["Really?!", "No...", "Yes‼", "ok"]),
        ("what? yes! no.", ["what?", "yes!", "no."]),
        ("He said “Go.” Then he went. (So it was.) End", ["He said “Go.”", "Then he went.", "(So it was.)", "End"]),
        ("It was 1990. Then came 5. 6 of us left.", ["It was 1990.", "Then came 5.", "6 of us left."]),
        ("So am I. Then we go.", ["So am I.", "Then we go."]),
        ("你好，世界。你叫什么名字？“我是小明！”好。", ["你好，世界。", "你叫什么名字？", "“我是小明！”", "好。"]),
        ("你好!世界?是。3個", ["你好!", "世界?", "是。", "3個"]),
        ("กข!คง", ["กข!", "คง"]),
        ("مرحبا. كيف حالك؟ بخير", ["مرحبا.", "كيف حالك؟", "بخير"]),
        ("آپ کیسے ہیں؟ٹھیک۔شکریہ", ["آپ کیسے ہیں؟", "ٹھیک۔", "شکریہ"]),
        ("नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
        ("one\ntwo\n\n\nthree\r\nfour  ", ["one", "two", "three", "four"]),
        (f"{_HEADING}\n\nand a new paragraph", [_HEADING, "and a new paragraph"]),
        (f"{_HEADING}\nAnd more", [_HEADING, "And more"]),
        (f"{_HEADING}.\n\n... --- !!! Words", [f"{_HEADING}.", "... --- !!! Words"]),
        ("Great! 😀 Next", ["Great!", "😀 Next"]),
        ("Great⁉️ Next", ["Great⁉️", "Next"]),
        ("End. ❤", ["End.", "❤"]),
        ("End. -- -- -- -- -- -- Far", ["End.", "-- -- -- -- -- -- Far"]),
        ("Nr. 5 kam. Nr. Fünf nicht.", ["Nr. 5 kam.", "Nr.", "Fünf nicht."]),
        ("  Space.  More.  ", ["Space.", "More."]),
    ],
)  # fmt: skip
def test_where_sentences_end(text: str, pieces: list[str]) -> None:
    """Marks of many scripts and ends of lines end sentences; quotes, brackets and selectors stay with theirs."""
    assert texts(text) == pieces


def test_nothing_and_white_space() -> None:
    """An empty text has no piece, and white space alone one with nothing in it, so that its end is told."""
    assert sentences("") == []
    assert sentences(" \n ") == [Sentence("", 3)]


def test_ends_lie_behind_the_white_space() -> None:
    """A piece ends where the next begins."""
    assert sentences("  One.  Two. \n ") == [Sentence("One.", 8), Sentence("Two.", 15)]


def test_a_long_sentence_is_cut_at_clauses() -> None:
    """The last mark of a clause that fits is where the cut is; numbers and clock times are not cut."""
    clause = "the price was 1,000 at 12:30 for all of them, "
    found = texts("A" * 200 + " " + clause * 9)
    assert all(piece.endswith("them,") for piece in found)
    assert len(found) == 3


def test_a_long_sentence_of_a_script_without_spaces_is_cut_at_its_marks() -> None:
    """A comma of Chinese needs no space, and inside a number is none."""
    found = texts("你好，世界有３，０００人，" * 60)
    assert len(found) > 2
    assert all(piece.endswith(("好，", "人，")) for piece in found)


def test_words_are_cut_at_spaces() -> None:
    """A sentence without marks is cut between words."""
    found = texts("word " * 200)
    assert set(" ".join(found).split()) == {"word"}
    assert {len(piece) for piece in found[:-1]} == {299}


def test_the_first_piece_is_short_where_a_clause_ends() -> None:
    """Sound begins early: the first sentence, where it is long, is cut at a clause; one without a clause is not."""
    long = "this is the first part of it, " * 8
    first, *rest = texts(long)
    assert len(first) <= FIRST_PIECE_CHARACTERS < len(rest[0]) + 1 or rest
    assert first.endswith(",")
    assert len(texts("word " * 50)) == 1
    assert texts(long, 60)[0] == "this is the first part of it, this is the first part of it,"


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("👨‍👩‍👧‍👦", 7), ("🇵🇱", 2), ("e\u0301\u0323", 3), ("👩🏽", 2), ("\u1100\u1161\u11a8", 3), ("\ud83d\ude00", 2),
        ("नि", 2), ("a\u200d", 2), ("é\u200dé", 3),
    ],
)  # fmt: skip
def test_characters_of_several_parts_stay_whole(unit: str, size: int) -> None:
    """Families, flags, accents, colours of skin, Korean syllables and surrogate pairs are never cut."""
    assert len(unit) == size
    for offset in range(4):
        found = texts("x" * offset + unit * 400)
        assert all(piece.removeprefix("x" * offset).replace(unit, "") == "" for piece in found)


def test_a_character_longer_than_a_piece_is_cut() -> None:
    """A letter under a thousand accents is not spoken in one piece."""
    assert [len(piece) for piece in texts("a" + "\u0301" * 999)] == [300, 300, 300, 100]


@given(_TEXTS, st.one_of(st.just(300), st.integers(1, 150)))
@example("\u200d" * 500, 300)
@example(" " * 500 + "a" + "\n" * 500, 300)
def test_nothing_is_lost(text: str, most: int) -> None:
    """Pieces in order are the whole text; none is longer than asked or empty, and their ends rise to the text's length."""
    begin = 0
    for piece in sentences(text, most):
        assert begin < piece.ends_at
        assert text[begin : piece.ends_at].strip() == piece.text
        assert len(piece.text) <= most
        assert piece.text or not text.strip()
        begin = piece.ends_at
    assert begin == len(text)


@given(_TEXTS)
def test_pieces_begin_with_a_character(text: str) -> None:
    """What combines with the character before it never begins a piece, but in the text's own beginning or its excess."""
    begin = 0
    for piece in sentences(text):
        cut = begin
        begin = piece.ends_at
        if cut and len(text[:cut].rstrip()) == cut and piece.text and unicodedata.category(piece.text[0])[0] == "M":
            pytest.fail(f"cut at {cut}")


class Counted(str):
    """A text that counts the characters that are read of it, one at a time or in slices."""

    read: ClassVar[int] = 0
    __slots__ = ()

    def __getitem__(self, key: Any) -> str:
        found = super().__getitem__(key)
        Counted.read += len(found)
        return found


@pytest.mark.parametrize(
    "unit",
    [
        "a", ".", ". ", "\n", " ", "a, ", "a. ", "A. ", "e.g. ", "\u0301", "\u200d", "🇵🇱", "a \u0301", "。", "a" * 50 + "\n",
        " " * 300 + "a", "\r\n", "a.", "\".'", "1. ",
    ],
)  # fmt: skip
def test_the_work_grows_as_the_text(unit: str) -> None:
    """A text of 100,000 characters of any kind is read a few times over, not once for each of its pieces."""
    text = Counted(unit * (100_000 // len(unit)))
    Counted.read = 0
    sentences(text)
    assert Counted.read <= 30 * len(text)
