"""Checks a caller's SSML and writes it anew: what no engine may see never reaches one.

An engine that reads SSML itself follows what stands there: espeak-ng opens the files that `<audio>` names. So nothing of a
caller's document is passed on but the elements and attributes of `ssml_attributes`, and text, written by this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn
from xml.parsers import expat

from minitoolai.core.ssml_attributes import ELEMENTS, UNWRITTEN, BadAttribute

MAX_DEPTH = 20
MAX_ELEMENTS = 500
#: Of all breaks of a document together.
MAX_BREAKS_MS = 60_000

#: Elements that stand between words: what is before them and after them is never one word.
_BETWEEN = frozenset({"p", "s", "break"})
#: Elements without anything inside.
_EMPTY = frozenset({"break"})
#: Elements with nothing but text inside.
_OF_TEXT = frozenset({"sub", "say-as"})
#: Without `"`, an attribute's name and value could be read in a text.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": " "})

_FULL_BREAK = "<break> has nothing inside. Write <break/>, and the rest behind it"


class BadSsml(ValueError):
    """A text is not SSML, or SSML that is not spoken; the message says where, why, and what to do about it."""


def checked_ssml(text: str) -> str:
    """Return a document with what is spoken of `text`, and nothing else. Raises `BadSsml`.

    Its first element is `<speak>`. Text is escaped, `"` as well; elements have the attributes of `ssml_attributes`.
    """
    check = _Check()
    _parse(text, check.start, check.end, check.text)
    return "".join(check.written)


def plain_text(ssml: str) -> str:
    """Return what is said of a checked document, without any markup."""
    said: list[str] = []
    is_in_sub = False

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal is_in_sub
        if name == "sub":
            is_in_sub = True
            said.append(attributes["alias"])
        if name in _BETWEEN:
            said.append(" ")

    def end(name: str) -> None:
        nonlocal is_in_sub
        is_in_sub = False
        if name in _BETWEEN:
            said.append(" ")

    def text(characters: str) -> None:
        if not is_in_sub:
            said.append(characters)

    _parse(ssml, start, end, text)
    return "".join(said).strip()


def written(text: str) -> str:
    """Return a text as it stands in a document, also between the quotes of an attribute."""
    return text.translate(_ESCAPES)


def tag(name: str, attributes: Mapping[str, str]) -> str:
    """Return the start of an element; of one that is always empty, all of it."""
    inside = " ".join([name, *(f'{key}="{written(value)}"' for key, value in attributes.items())])
    return f"<{inside}/>" if name in _EMPTY else f"<{inside}>"


def end_tag(name: str) -> str:
    """Return the end of an element that `tag` began."""
    return "" if name in _EMPTY else f"</{name}>"


class _Check:
    """What was read of a document, and what is written of it."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self._depth = 0
        self._elements = 0
        self._breaks_ms = 0
        #: The element that is open, where it is one that has no others inside.
        self._inside = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._inside in _EMPTY:
            raise BadSsml(_FULL_BREAK)
        if self._inside in _OF_TEXT and name not in UNWRITTEN:
            raise BadSsml(f"<{self._inside}> has only text inside. Leave out <{name[:40]}>, or put it around")
        if (name == "speak") is not (self._elements == 1):
            raise BadSsml("SSML is one <speak> element with all else inside it. Write <speak>…</speak>")
        if self._depth > MAX_DEPTH:
            raise BadSsml(f"elements stand inside each other more than {MAX_DEPTH} deep. Nest fewer")
        if self._elements > MAX_ELEMENTS:
            raise BadSsml(f"there are more than {MAX_ELEMENTS} elements. Send the text in parts")
        if name not in ELEMENTS:
            known = ", ".join(sorted(ELEMENTS))
            raise BadSsml(f"the element <{name[:40]}> is not spoken. Leave it out; there are: {known}")
        try:
            kept = ELEMENTS[name](attributes)
        except BadAttribute as error:
            raise BadSsml(f"of <{name}>, {error}. Correct it") from None
        self._breaks_ms += int(kept.get("time", "0ms").removesuffix("ms"))
        if self._breaks_ms > MAX_BREAKS_MS:
            raise BadSsml(f"its breaks are longer than {MAX_BREAKS_MS // 1000} seconds together. Shorten them")
        if name not in UNWRITTEN:
            self.written.append(tag(name, kept))
            self._inside = name if name in _EMPTY | _OF_TEXT else ""

    def end(self, name: str) -> None:
        self._depth -= 1
        if name not in UNWRITTEN:
            self.written.append(end_tag(name))
            self._inside = ""

    def text(self, characters: str) -> None:
        if self._inside in _EMPTY:
            raise BadSsml(_FULL_BREAK)
        self.written.append(written(characters))


def _parse(
    text: str,
    start: Callable[[str, Mapping[str, str]], None],
    end: Callable[[str], None],
    characters: Callable[[str], None],
) -> None:
    """Read a document; what is no element and no text is refused, but comments and the XML declaration. Raises `BadSsml`,
    with the place behind what a handler raises."""
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = _refuser("<!DOCTYPE …>")
    parser.EntityDeclHandler = _refuser("<!ENTITY …>")
    parser.ProcessingInstructionHandler = _refuser("<?…?>")
    parser.StartCdataSectionHandler = _refuser("<![CDATA[…]]>")
    try:
        parser.Parse(text.encode(), True)
    except BadSsml as error:
        place = f"line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1}"
        raise BadSsml(f"{error} ({place}).") from None
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        raise BadSsml(f"it is not XML: {what} (line {error.lineno}, column {error.offset + 1}). Correct it.") from None
    except UnicodeEncodeError:
        raise BadSsml("it has half of a surrogate pair, which is no character. Leave it out.") from None


def _refuser(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise BadSsml(f"{what} is not read. Leave it out; write & < > as &amp; &lt; &gt;")

    return refuse
