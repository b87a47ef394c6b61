"""The pages of the API and the code say the same: routes, headers of replies, and the pages that the code names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from typing import Any

import minitoolai.api
from minitoolai.edge import health, metrics
from minitoolai.edge.application import Application, Routes
from tests.house.documents import DOCS, ROOT, code_words, headings, reference, rows, sections, sources

#: Pages of the reference that describe routes; `api.md` lists all of them.
_PAGES = sorted(path.name for path in (DOCS / "reference").glob("*.md"))
_HEADER = re.compile(r"x-minitoolai-[a-z-]+")
#: Of our own: in an address of elsewhere something stands before it.
_PAGE = re.compile(r"(?<![\w/])docs/[\w/-]+\.md")


def test_every_route_is_described_once() -> None:
    """The pages of the reference have a heading for exactly the routes there are, each on one page."""
    described = Counter(route for page in _PAGES for heading in headings(reference(page)) for route in _named(heading))
    assert described == Counter(_routes())


def test_every_route_is_listed() -> None:
    """The table at the top of `api.md` has a row for exactly the routes there are."""
    overview = reference("api.md").partition("\n## ")[0]
    assert Counter(route for row in rows(overview) for route in _named(row[0])) == Counter(_routes())


def test_every_response_header_is_documented() -> None:
    """`api.md` has a row for exactly the headers of our own that the program sends; no page names another."""
    sent = {name for path in sources().values() for name in _HEADER.findall(path.read_text())}
    table = rows(sections(reference("api.md"))["Response headers"])
    assert {name for row in table for name in _HEADER.findall(row[0])} == sent
    assert {name for page in _PAGES for name in _HEADER.findall(reference(page))} == sent


def test_pages_that_the_code_names_are_there() -> None:
    """A page of the documentation that a file of the program names exists."""
    named = {(place, page) for place, path in sources().items() for page in _PAGE.findall(path.read_text())}
    assert [found for found in named if not (ROOT / found[1]).exists()] == []


def _named(text: str) -> list[str]:
    """Return the routes in backquotes, as "METHOD /path" without a slash at the end."""
    return [word.rstrip("/") for word in code_words(text) if re.match(r"[A-Z]+ /", word)]


def _routes() -> set[str]:
    """Return every route as "METHOD /path", made by the very functions that the composition root calls."""
    routes = Routes()
    modules = [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(minitoolai.api.__path__, "minitoolai.api.")
    ]
    for module in [*modules, health, metrics]:
        for name, add in vars(module).items():
            if name.startswith("add_") and inspect.isfunction(add) and add.__module__ == module.__name__:
                given: dict[str, Any] = dict.fromkeys(inspect.signature(add).parameters)
                given["routes"] = routes
                if "application" in given:
                    given["application"] = Application(routes)
                add(**given)
    exact = {f"{method} {path}" for path, methods in routes.exact.items() for method in methods}
    return exact | {f"{method} {path}{{id}}" for path, methods in routes.prefixes.items() for method in methods}
