"""The project names no place where it was made: no workplace, no private host, no path of one machine.

The words are put together from parts, so that this file does not hold them.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from tests.house.documents import ROOT, tracked

#: What must stand nowhere.
FORBIDDEN = {
    "a path of one machine": re.compile(
        "/" + "work/|/" + r"root/\w|/" + r"home/\w+/|/" + r"Users/\w+/|/opt/(" + "wheels|pypi)"
    ),
    "a folder beside the project": re.compile(r"\.\./" + "shared"),
    "a tool of a workplace": re.compile(r"\b" + "farm" + r"[-_]\w+|\." + "library/"),
    "a package index": re.compile(
        r"(?i)\b" + "index[-_]url" + r"\W+(https?|file):|\b" + "find[-_]links" + r"\b|\bregistry\s*="
    ),
}
#: Where packages come from when a lock file or a script names a place.
INDEXES = {"pypi.org", "files.pythonhosted.org"}
#: Ends of host names that only one network knows.
PRIVATE_ENDS = (".internal", ".local", ".lan", ".corp", ".intranet", ".svc")

_URL = re.compile(r"https?://[^\s\"'`<>)\]}|\\,]+")
_LOCKS = {"uv.lock", "pylock.toml", "requirements.txt", "constraints.txt"}


def _texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        raw = path.read_bytes()
        if b"\0" not in raw[:4096]:
            found.append((path.relative_to(ROOT).as_posix(), raw.decode("utf-8", "replace")))
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_forbidden_word(what: str) -> None:
    """No file of the project names where it was made."""
    found = [f"{name}: {hit[0]}" for name, text in _texts() for hit in FORBIDDEN[what].finditer(text)]
    found += [name for name, _ in _texts() if FORBIDDEN[what].search(name)]
    assert not found


def test_no_private_host() -> None:
    """No URL names a host that only one network knows."""
    found = []
    for name, text in _texts():
        for url in _URL.findall(text):
            host = _host(url)
            if host.endswith(PRIVATE_ENDS):
                found.append(f"{name}: {host}")
    assert not found


def test_packages_come_from_the_public_index() -> None:
    """Lock files name the public index only."""
    found = []
    for name, text in _texts():
        if name.rsplit("/", 1)[-1] in _LOCKS:
            found += [f"{name}: {_host(url)}" for url in _URL.findall(text) if _host(url) not in INDEXES]
    assert not found


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
