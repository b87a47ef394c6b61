"""SSML of callers: what is written anew, and what is refused with its place and the remedy."""

from __future__ import annotations

import pytest

from minitoolai.core.ssml import BadSsml, checked_ssml, plain_text


def test_a_document_is_written_anew() -> None:
    """Sizes and times one way, texts escaped, formalities left out."""
    given = (
        '<?xml version="1.0"?><speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis"><!-- no --><p><s>Fish &amp; '
        'chips</s></p><break time="1.5s"/><sub alias="World Wide Web">WWW</sub></speak>'
    )
    found = checked_ssml(given)
    assert found == (
        '<speak><p><s>Fish &amp; chips</s></p><break time="1500ms"/><sub alias="World Wide Web">WWW</sub></speak>'
    )
    assert checked_ssml(found) == found
    assert plain_text(found).split() == ["Fish", "&", "chips", "World", "Wide", "Web"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no markup", "not XML"), ("", "not XML"), ("<speak>", "not XML"), ("<p>a</p>", "one <speak> element"),
        ("<speak><speak>a</speak></speak>", "one <speak> element"),
        ('<speak><audio src="file:///etc/passwd"/>a</speak>', "<audio> is not spoken"),
        ('<!DOCTYPE s [<!ENTITY a "b">]><speak>&a;</speak>', "<!DOCTYPE"),
        ("<speak><![CDATA[a]]></speak>", "CDATA"), ("<speak><?do it?>a</speak>", "is not read"),
        ('<speak><break time="11s"/>a</speak>', "time is from"),
        ('<speak><break time="99999999s"/>a</speak>', "time is from"),
        ('<speak><break time="1e999s"/>a</speak>', "time is from"),
        ("<speak>" + '<break time="10s"/>' * 7 + "a</speak>", "longer than 60 seconds"),
        ("<speak>" + "<p>" * 20 + "a" + "</p>" * 20 + "</speak>", "more than 20 deep"),
        ("<speak>" + "<s>a</s>" * 500 + "</speak>", "more than 500 elements"),
        ('<speak><sub alias="a"><break/></sub></speak>', "has only text inside"),
        ('<speak><say-as interpret-as="characters"><p>a</p></say-as></speak>', "has only text inside"),
        ("<speak><break>a</break></speak>", "nothing inside"), ("<speak><break><p/></break></speak>", "nothing inside"),
        ("<speak>&#0;</speak>", "not XML"), ("<speak>&unknown;</speak>", "not XML"), ("<speak>\ud800</speak>", "surrogate"),
    ],
    ids=lambda value: value[:40].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_what_is_not_spoken(text: str, words: str) -> None:
    """Bombs, files and mistakes."""
    with pytest.raises(BadSsml, match=words):
        checked_ssml(text)


def test_a_mistake_has_a_place() -> None:
    """Its line and column."""
    with pytest.raises(BadSsml, match=r"line 2, column"):
        checked_ssml("<speak>\n<video/></speak>")


def test_a_deep_bomb_is_soon_refused() -> None:
    """At its twenty-first level, however many follow."""
    with pytest.raises(BadSsml, match="more than 20 deep"):
        checked_ssml("<speak>" + "<p>" * 1_000_000)


def test_what_is_dropped() -> None:
    """Marks, tokens and sounds in others' signs: their text is spoken."""
    given = '<speak>a<mark name="x"/>b <w>c</w><sub alias="d"><w>e</w>f</sub><phoneme ph="x">g</phoneme></speak>'
    found = checked_ssml(given)
    assert found == '<speak>ab c<sub alias="d">ef</sub>g</speak>'
    assert plain_text(found) == "ab cdg"


def test_a_text_cannot_look_like_markup() -> None:
    """What is escaped stays so, quotes and line ends as well."""
    found = checked_ssml('<speak>&lt;audio src="x"/&gt; &amp;amp; &#13;&#34;</speak>')
    assert found == "<speak>&lt;audio src=&quot;x&quot;/&gt; &amp;amp;  &quot;</speak>"
    assert plain_text(found) == '<audio src="x"/> &amp;  "'
