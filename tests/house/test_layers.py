"""The rooms of the house import downwards only, and every room says what it is for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.house.documents import ROOT, SOURCE, sources


def test_import_contracts_are_kept() -> None:
    """import-linter finds every contract of pyproject.toml kept."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_rooms_say_what_they_are_for() -> None:
    """Every module of the program begins with a docstring."""
    bare = [name for name, path in sources().items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not bare


def test_rooms_have_nouns_for_names() -> None:
    """No module is called after nothing in particular, where anything could go."""
    nothing = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base"}
    found = [path for path in SOURCE.rglob("*.py") if nothing & {path.stem, *path.relative_to(SOURCE).parts}]
    assert not found
