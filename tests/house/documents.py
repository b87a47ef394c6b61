"""What the tests of the house read: the repository's own files, and the parts of a Markdown page."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "minitoolai"
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w*)\s*$(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, as a failure names it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def tracked() -> tuple[Path, ...]:
    """Return every file that belongs to the project: what git tracks and what it would, ignored files left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    return tuple(sorted(path for name in set(listed) if name and (path := ROOT / name).is_file()))


def python_files(*folders: str) -> list[Path]:
    """Return the project's Python files below `folders`, from the root."""
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def sources() -> dict[str, Path]:
    """Return the program's own Python files by their paths below the package."""
    return {path.relative_to(SOURCE).as_posix(): path for path in python_files("src")}


def pages() -> list[Path]:
    """Return the Markdown pages."""
    return [path for path in tracked() if path.suffix == ".md"]


def reference(name: str) -> str:
    """Return the text of a page of the reference."""
    return (DOCS / "reference" / name).read_text(encoding="utf-8")


def examples(language: str) -> list[Example]:
    """Return the fenced blocks of all pages in one language."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for block in _FENCE.finditer(text):
            if block[1] == language:
                found.append(Example(page, text.count("\n", 0, block.start()) + 1, language, block[2].strip("\n") + "\n"))
    return found


def without_examples(text: str) -> str:
    """Return a page without its fenced blocks, whose comments look like headings."""
    return _FENCE.sub("", text)


def headings(text: str) -> list[str]:
    """Return the headings of a page, without their hashes."""
    return [heading[2] for heading in _HEADING.finditer(without_examples(text))]


def sections(text: str) -> dict[str, str]:
    """Return what stands under each heading of a page, up to the next heading of any level."""
    text = without_examples(text)
    found = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in found[1:]] + [len(text)]
    return {heading[2]: text[heading.end() : end] for heading, end in zip(found, ends, strict=True)}


def rows(text: str) -> Iterator[list[str]]:
    """Yield the rows of the tables in `text`, without their heads: the rows after the dashes."""
    in_body = False
    for line in text.splitlines():
        if not line.startswith("|"):
            in_body = False
        elif re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", line):
            in_body = True
        elif in_body:
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code_words(text: str) -> list[str]:
    """Return what stands in backquotes."""
    return _CODE.findall(text)


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets: lower case, spaces as hyphens, other punctuation dropped."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.replace(" ", "-")
