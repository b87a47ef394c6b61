"""`internals/jobs.md` and the code of jobs say the same."""

from __future__ import annotations

import re
from importlib import import_module

from minitoolai.core.jobs import diagram
from tests.house.documents import DOCS, code_words, examples, rows, sections

PAGE = DOCS / "internals" / "jobs.md"


def test_the_diagram_is_drawn_from_the_table() -> None:
    """The page has one diagram, and it is the law's own."""
    assert [example.text for example in examples("mermaid") if example.page == PAGE] == [diagram() + "\n"]


def test_numbers_are_those_of_the_code() -> None:
    """Every constant that the page names stands where it says, with the value that it says."""
    named = list(rows(sections(PAGE.read_text())["Numbers to know"]))
    assert named
    for _, where, value in named:
        file, name = code_words(where)
        module = import_module("minitoolai." + file.removesuffix(".py").replace("/", "."))
        assert getattr(module, name) == float(re.sub(r"[ s]", "", value)), name


def test_functions_are_those_of_the_migration() -> None:
    """The page describes exactly the functions that the migration makes for jobs."""
    sql = (DOCS.parent / "src" / "minitoolai" / "storage" / "migrations" / "0005_jobs.sql").read_text()
    made = re.findall(r"^CREATE FUNCTION (job_\w+)\(", sql, re.MULTILINE)
    described = re.findall(r"^\* `(job_\w+)`", sections(PAGE.read_text())["Functions"], re.MULTILINE)
    assert described == made
