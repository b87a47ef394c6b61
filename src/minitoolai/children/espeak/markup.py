"""Cuts checked SSML (`core.ssml`) into documents that are spoken one after another, in the writing that espeak-ng reads.

It knows no `lang`, no `digits`, and languages by its own names; percentages of pitch it counts on a scale of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from xml.parsers import expat

from minitoolai.children.espeak.cleaning import cleaned
from minitoolai.children.espeak.pitch import pitch_value
from minitoolai.children.speech.synthesis import Piece
from minitoolai.core.sentences import sentences
from minitoolai.core.ssml import end_tag, tag, written

#: Elements that a cut may go through: what follows is the same inside the same start tags.
_CUT = frozenset({"speak", "p", "s", "prosody", "emphasis", "lang", "voice"})
#: After which there is a cut.
_ENDING = frozenset({"p", "s"})
#: How a document ends that has a pause at its end.
PAUSED = ("</p></speak>", "</s></speak>", "</s></p></speak>")
_PER_CENT = re.compile(r"\d+%")
_ROOT = re.compile(r'<speak xml:lang="([^"]+)"')

#: Returns the library's name of a language; None where nobody speaks it.
Languages = Callable[[str], str | None]


class UnknownLanguage(Exception):
    """A document names a language that there is no voice for. `tag`: it."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def language(ssml: str) -> str | None:
    """Return the language that a checked document says it is in."""
    match = _ROOT.match(ssml)
    return match[1] if match else None


def documents(ssml: str, languages: Languages) -> list[Piece]:
    """Return what is spoken of a checked document, cut at the ends of sentences. Raises `UnknownLanguage`."""
    cutter = _Cutter(ssml.encode(), languages)
    cutter.run()
    return cutter.pieces


class _Cutter:
    """Reads a document and writes pieces of it."""

    def __init__(self, content: bytes, languages: Languages) -> None:
        self.pieces: list[Piece] = []
        self._content = content
        self._languages = languages
        #: Names of the open elements, and how their starts are written.
        self._open: list[tuple[str, str]] = []
        self._written: list[str] = []
        #: Whether anything is said or waited for in what is written.
        self._is_filled = False
        #: Characters up to a byte of the content: where the last piece ended.
        self._at_byte = self._at_character = 0
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def run(self) -> None:
        self._parser.Parse(self._content, True)
        if self.pieces:  # what is left are ends of elements
            last = self.pieces.pop()
            self.pieces.append(Piece(last.text, len(self._content.decode())))

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        # The library's own `sub` reads beyond its buffers: what it would say is written in its place.
        start = written(cleaned(attributes["alias"])) if name == "sub" else self._start_tag(name, attributes)
        self._open.append((name, start))
        self._written.append(start)
        self._is_filled = self._is_filled or name in ("break", "sub")

    def _end(self, name: str) -> None:
        self._open.pop()
        if name != "sub":
            self._written.append(end_tag(_named(name)))
        # `CurrentByteIndex` is where the end tag begins; what is left of it belongs to the next piece, and is nothing.
        if name in _ENDING or name == "speak":
            self._cut()

    def _text(self, characters: str) -> None:
        if self._open[-1][0] == "sub":
            return
        found = sentences(characters)
        # How the sentence after the last end goes on is not known yet.
        for number, sentence in enumerate(found):
            spoken = cleaned(sentence.text)
            # Space at either end may part it from the text of another element.
            before = " " if number == 0 and characters[0].isspace() else ""
            behind = " " if characters[sentence.ends_at - 1].isspace() else ""
            self._written.append(before + written(spoken) + behind)
            self._is_filled = self._is_filled or bool(spoken)
            if number + 1 < len(found):
                # The document is written as `written` does: so long is what the parser has read beyond the sentence.
                self._cut(len(written(characters[sentence.ends_at :])))

    def _cut(self, beyond: int = 0) -> None:
        """End a piece, unless inside an element that must stay whole; `beyond`: characters read that are not of it."""
        if not self._is_filled or any(name not in _CUT for name, _ in self._open):
            return
        ends = "".join(end_tag(_named(name)) for name, _ in reversed(self._open))
        index = self._parser.CurrentByteIndex
        self._at_character += len(self._content[self._at_byte : index].decode())
        self._at_byte = index
        self.pieces.append(Piece("".join(self._written) + ends, self._at_character - beyond))
        self._written = [start for _, start in self._open]
        self._is_filled = False

    def _start_tag(self, name: str, attributes: Mapping[str, str]) -> str:
        given = dict(attributes)
        if "xml:lang" in given:
            known = self._languages(given["xml:lang"])
            if known is None:
                raise UnknownLanguage(given["xml:lang"])
            given["xml:lang"] = known
        if _PER_CENT.fullmatch(given.get("pitch", "")):
            given["pitch"] = f"{2 * pitch_value(int(given['pitch'][:-1]) / 100)}%"
        if given.get("interpret-as") == "digits":
            given["interpret-as"] = "telephone"
        return tag(_named(name), given)


def _named(name: str) -> str:
    """Return how the library calls an element."""
    return "voice" if name == "lang" else name
