"""Every error says what it is: its docstring is its message, and whoever raises it fills the braces."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import minitoolai
from minitoolai.core import errors, picture_errors, speech_errors, transcription_errors
from minitoolai.core.errors import ApiError, MiniToolError

SOURCES = sorted(Path(minitoolai.__file__).parent.rglob("*.py"))


def classes(root: type[MiniToolError]) -> list[type[MiniToolError]]:
    """`root` and everything below it."""
    return [root, *(below for child in root.__subclasses__() for below in classes(child))]


_MODULES = {each.__name__ for each in (errors, picture_errors, speech_errors, transcription_errors)}
ALL = [each for each in classes(MiniToolError) if each.__module__ in _MODULES]
API = [each for each in ALL if issubclass(each, ApiError)]


def braces(error: type[MiniToolError]) -> set[str]:
    """The facts that a message needs."""
    return {name for _, name, _, _ in string.Formatter().parse(error.__doc__ or "") if name is not None}


def raisers() -> Iterator[tuple[str, type[MiniToolError], set[str]]]:
    """Each call of an error's class in the sources: where it stands, the class, the facts it gives."""
    by_name = {each.__name__: each for each in ALL}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in by_name:
                keywords = {each.arg for each in node.keywords}
                if None not in keywords:
                    where = f"{source.name}:{node.lineno}"
                    yield where, by_name[node.func.id], {name for name in keywords if name is not None}


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_the_docstring_is_the_message(error: type[MiniToolError]) -> None:
    """On one line, with its facts in it."""
    needed = braces(error)
    facts = {name: f"<{name}>" for name in needed}
    raised = error(**facts)
    assert error.__doc__
    assert "\n" not in raised.message
    assert "  " not in raised.message
    assert "{" not in raised.message
    for name in needed:
        assert f"<{name}>" in raised.message
    assert str(raised) == raised.message
    assert raised.facts.items() >= facts.items()


@pytest.mark.parametrize("error", API, ids=lambda error: error.__name__)
def test_callers_see_openais_shape(error: type[ApiError]) -> None:
    """Message, type, param and code, all but the param never empty."""
    raised = error(**{"param": "messages[2].content", **dict.fromkeys(braces(error) - {"param"}, "x")})
    shown = raised.shown()["error"]
    assert list(shown) == ["message", "type", "param", "code"]
    assert shown["param"] == raised.param == "messages[2].content"
    assert all(shown.values())
    without = error(**dict.fromkeys(braces(error) - {"param"}, "x"))
    assert without.shown()["error"]["param"] is None


@pytest.mark.parametrize(("where", "error", "given"), list(raisers()), ids=lambda value: str(value)[:40])
def test_whoever_raises_an_error_fills_its_braces(where: str, error: type[MiniToolError], given: set[str]) -> None:
    """Else the message itself would raise."""
    assert braces(error) - {"param"} <= given, where
    assert "param" not in braces(error) or "param" in given, where


def test_most_errors_are_raised_somewhere() -> None:
    """The search above sees the sources: a few classes are bases, or wait for a feature."""
    used = {error for _, error, _ in raisers()}
    assert len(used) > len([each for each in ALL if not each.__subclasses__()]) / 2


def test_waiting_is_advised_where_it_helps() -> None:
    """And nowhere else."""
    assert errors.RateLimited(model="m", retry_after_s=7).retry_after_s == 7
    assert errors.DatabaseUnavailable().retry_after_s == 1
    assert errors.InvalidApiKey(why="x").retry_after_s is None
    waits = {each for each in API if each(**dict.fromkeys(braces(each), "x")).retry_after_s is not None}
    assert waits == {each for each in API if issubclass(each, errors.RateLimited | errors.ServiceUnavailable)} | {
        errors._Retryable
    }


def test_facts_with_braces_do_no_harm() -> None:
    """A caller's own text is a value, never a format."""
    message = errors.InvalidJson(why="{0} {why} {").message
    assert "{0} {why} {" in message
