"""Checked SSML cut into documents, in espeak-ng's writing."""

from __future__ import annotations

import pytest

from minitoolai.children.espeak import markup
from minitoolai.core.ssml import checked_ssml


def documents(body: str) -> list[tuple[str, str]]:
    """Return what is spoken of a document, and what of it each ends."""
    ssml = checked_ssml(f"<speak>{body}</speak>")
    pieces = markup.documents(ssml, {"pl-PL": "pl", "pl": "pl"}.get)
    ends = [0, *(piece.ends_at for piece in pieces)]
    assert not pieces or ends[-1] == len(ssml)
    return [(piece.text, ssml[start:end]) for piece, start, end in zip(pieces, ends, ends[1:], strict=False)]


def test_it_is_cut_after_sentences() -> None:
    """With the elements around them begun anew; characters are counted as the caller's document has them."""
    assert documents('<prosody rate="slow">Fish &amp; chips. "Ala", 2 &lt; kot. End</prosody> now.') == [
        (
            '<speak><prosody rate="slow">Fish &amp; chips. </prosody></speak>',
            '<speak><prosody rate="slow">Fish &amp; chips. ',
        ),
        (
            '<speak><prosody rate="slow">&quot;Ala&quot;, 2 &lt; kot. </prosody></speak>',
            "&quot;Ala&quot;, 2 &lt; kot. ",
        ),
        ('<speak><prosody rate="slow">End</prosody> now.</speak>', "End</prosody> now.</speak>"),
    ]


def test_it_is_cut_after_elements() -> None:
    """After a paragraph and a sentence; what is left of empty elements is no piece of its own."""
    assert [text for text, _ in documents("<p><s>żółw</s><s>kot</s></p><p/>")] == [
        "<speak><p><s>żółw</s></p></speak>",
        "<speak><p><s>kot</s></p></speak>",
    ]


def test_what_must_stay_whole() -> None:
    """Nothing is cut inside what is spelled."""
    body = 'A <say-as interpret-as="characters">b. c. d</say-as> e'
    assert [text for text, _ in documents(body)] == [f"<speak>{body}</speak>"]


@pytest.mark.parametrize(
    ("given", "spoken"),
    [
        ('<lang xml:lang="pl-PL">a</lang>', '<voice xml:lang="pl">a</voice>'),
        ('<voice xml:lang="pl-PL" gender="female">a</voice>', '<voice xml:lang="pl" gender="female">a</voice>'),
        ('<say-as interpret-as="digits">12</say-as>', '<say-as interpret-as="telephone">12</say-as>'),
        ('<sub alias="World &amp; Web">WWW</sub>', "World &amp; Web"),
        ('<prosody pitch="+60%">a</prosody>', '<prosody pitch="200%">a</prosody>'),
        ('<prosody pitch="68%">a</prosody>', '<prosody pitch="0%">a</prosody>'),
        ('<prosody pitch="high" rate="+50%">a</prosody>', '<prosody rate="150%" pitch="high">a</prosody>'),
        ('a<break time="1.5s"/>b', 'a<break time="1500ms"/>b'),
        ("a\u202e!!!!!\u0301", "a!!!"),
        ('<phoneme ph="x" alphabet="ipa">a</phoneme>', "a"),
    ],
)  # fmt: skip
def test_the_librarys_writing(given: str, spoken: str) -> None:
    """Languages, figures, pitch and replaced words as it has them; texts are cleaned."""
    assert [text for text, _ in documents(given)] == [f"<speak>{spoken}</speak>"]


def test_nothing_to_say() -> None:
    """A document without words or breaks is no piece."""
    assert documents("<p> </p>") == []
    assert documents("") == []


def test_a_language_that_nobody_speaks() -> None:
    """It is told by its tag."""
    with pytest.raises(markup.UnknownLanguage, match=r"^xx$"):
        documents('<p xml:lang="xx">a</p>')


def test_the_documents_language() -> None:
    """What its first element says, and nothing that looks like it."""
    assert markup.language(checked_ssml('<speak version="1.1" xml:lang="pl-PL">a</speak>')) == "pl-PL"
    assert markup.language(checked_ssml('<speak>xml:lang="pl" <p xml:lang="de">a</p></speak>')) is None
