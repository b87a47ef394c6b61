"""The documentation and the code say the same: settings, commands, errors, prices, links, examples.

The pages of the API have a file of their own, `test_api_pages`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from minitoolai.cli.main import parser
from minitoolai.core.builtin_models import EMBEDDING_MODELS, SEED_CHAT_MODELS
from minitoolai.core.errors import ApiError
from minitoolai.core.money import parse_usd
from minitoolai.edge.statuses import status_of
from minitoolai.runtime.catalogue import STARTER_CONTEXT_TOKENS
from minitoolai.runtime.config import load_settings
from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.runtime.settings import (
    DatabaseSettings,
    EspeakEngineSettings,
    JobsSettings,
    KokoroEngineSettings,
    LlamaEngineSettings,
    LogSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    PiperEngineSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    TelemetrySettings,
)
from tests.house.documents import (
    DOCS,
    ROOT,
    Example,
    anchor,
    code_words,
    examples,
    headings,
    pages,
    reference,
    rows,
    sections,
    sources,
    without_examples,
)

#: The tables of settings and the headings they stand under in `settings.md`.
TABLES: dict[str, type[msgspec.Struct]] = {
    "Top level": Settings,
    "[server]": ServerSettings,
    "[database]": DatabaseSettings,
    "[storage]": StorageSettings,
    "[jobs]": JobsSettings,
    "[log]": LogSettings,
    "[telemetry]": TelemetrySettings,
    '[engines.NAME], kind = "openai"': OpenAIEngineSettings,
    '[engines.NAME], kind = "llama"': LlamaEngineSettings,
    '[engines.NAME], kind = "onnx"': OnnxEngineSettings,
    '[engines.NAME], kind = "espeak"': EspeakEngineSettings,
    '[engines.NAME], kind = "piper"': PiperEngineSettings,
    '[engines.NAME], kind = "kokoro"': KokoroEngineSettings,
    '[models."NAME"]': ModelSettings,
}
#: Options that every command takes, described once.
COMMON = {"--json", "--config", "--data-dir", "-h", "--help"}
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_VARIABLE = re.compile(r"\bMINITOOLAI_[A-Z_]*[A-Z]\b")


@pytest.mark.parametrize("heading", TABLES)
def test_every_setting_and_its_default_is_documented(heading: str) -> None:
    """`settings.md` lists exactly the settings there are, each with the default of the code."""
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows(_section("settings.md", heading))}
    info = msgspec.inspect.type_info(TABLES[heading])
    assert isinstance(info, msgspec.inspect.StructType)
    expected = {item.encode_name: _default(item) for item in info.fields}
    if info.tag_field:
        expected = {info.tag_field: json.dumps(info.tag), **expected}
    assert documented == expected


def test_every_variable_is_documented() -> None:
    """`settings.md` names every variable of ours that the program knows."""
    known = {name for path in sources().values() for name in _VARIABLE.findall(path.read_text())}
    assert known - set(_VARIABLE.findall(reference("settings.md"))) == set()


def test_every_command_is_documented() -> None:
    """`commands.md` has a heading for exactly the commands there are, and a row for exactly their options."""
    expected = {name: _options(found) for name, found in _commands(parser(), "minitoolai")}
    documented = {
        heading.strip("`"): {word.split()[0] for row in rows(text) for word in code_words(row[0])}
        for heading, text in sections(reference("commands.md")).items()
        if heading.startswith("`minitoolai ")
    }
    assert documented == expected


def test_common_options_are_documented_once() -> None:
    """`commands.md` describes the options that every command takes."""
    described = {
        word.split()[0] for row in rows(_section("commands.md", "Options of every command")) for word in code_words(row[0])
    }
    assert described == {"--json", "--config", "--data-dir"}


def test_every_error_is_documented() -> None:
    """`errors.md` has a row for exactly the statuses, codes and types that callers can be told."""
    expected = {(str(_status(kind)), kind.code, kind.type) for kind in _errors(ApiError)}
    documented = {(row[0], row[1].strip("`"), row[2].strip("`")) for row in rows(_section("errors.md", "Codes"))}
    assert documented == expected
    assert all(all(row) for row in rows(_section("errors.md", "Codes"))), "each row says when, and what to do"


def test_prices_are_those_of_the_catalogue() -> None:
    """`models.md` shows the built-in catalogue: names, prices, context, longest answer, aliases."""
    documented = [[cell.strip("`") for cell in row] for row in rows(_section("models.md", "Chat models"))]
    assert [row[0] for row in documented] == [model.id for model in SEED_CHAT_MODELS]
    for row, model in zip(documented, SEED_CHAT_MODELS, strict=True):
        assert parse_usd(row[1]) == model.prices.input_nusd_per_1m
        assert parse_usd(row[2]) == model.prices.output_nusd_per_1m
        assert [int(cell.replace(",", "")) for cell in row[3:5]] == [model.context_tokens, model.max_completion_tokens]
        assert row[5] == ", ".join(model.aliases)


def test_embedding_models_are_those_of_the_catalogue() -> None:
    """`models.md` shows them too: names, prices, longest text, dimensions."""
    documented = [[cell.strip("`") for cell in row] for row in rows(_section("models.md", "Embedding models"))]
    assert [row[0] for row in documented] == [model.id for model in EMBEDDING_MODELS]
    for row, model in zip(documented, EMBEDDING_MODELS, strict=True):
        assert parse_usd(row[1]) == model.prices.input_nusd_per_1m
        assert [int(cell.replace(",", "")) for cell in row[2:]] == [model.context_tokens, model.dimensions]


def test_the_starters_context_is_documented() -> None:
    """The sandbox's pages say how many tokens its model holds."""
    shown = f"{STARTER_CONTEXT_TOKENS} tokens"
    assert shown in (DOCS / "concepts" / "sandbox.md").read_text()
    assert shown in reference("models.md")


def test_every_link_resolves() -> None:
    """Every link from page to page leads to a file of the project, and to a heading that is there."""
    broken = []
    for page in pages():
        for target in _LINK.findall(without_examples(page.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, fragment = target.partition("#")
            aim = (page.parent / unquote(path)).resolve() if path else page
            if not aim.exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
            elif fragment and fragment not in {anchor(heading) for heading in headings(aim.read_text())}:
                broken.append(f"{page.relative_to(ROOT)}: {target} (no such heading)")
    assert not broken


def test_every_page_can_be_found() -> None:
    """From the README every page of `docs/` is reached by links."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = (target.partition("#")[0] for target in _LINK.findall(page.read_text()))
        found = [(page.parent / target).resolve() for target in targets if target.endswith(".md")]
        waiting += [path for path in found if path.exists()]
    assert [page for page in pages() if DOCS in page.parents and page not in seen] == []


def test_decisions_have_one_form() -> None:
    """Every decision record says its context, the decision, the figures behind it and the consequences."""
    files = sorted((DOCS / "decisions").glob("0*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    for file in files:
        assert headings(file.read_text())[1:] == ["Context", "Decision", "Figures", "Consequences"], file.name


@pytest.mark.parametrize("example", examples("toml"), ids=lambda example: example.place)
def test_toml_examples_are_settings(example: Example, tmp_path: Path) -> None:
    """Every TOML example is a file of settings that the program takes."""
    file = tmp_path / "minitoolai.toml"
    file.write_text(example.text)
    load_settings({}, file)


@pytest.mark.parametrize("example", examples("json"), ids=lambda example: example.place)
def test_json_examples_are_json(example: Example) -> None:
    """Every JSON example is JSON."""
    json.loads(example.text)


@pytest.mark.parametrize("example", examples("python"), ids=lambda example: example.place)
def test_python_examples_compile(example: Example) -> None:
    """Every Python example is Python."""
    ast.parse(example.text)


@pytest.mark.parametrize("example", examples("sh"), ids=lambda example: example.place)
def test_shell_examples_are_right(example: Example) -> None:
    """Every shell example is understood by bash, and its `minitoolai` commands by our own parser."""
    done = subprocess.run(["bash", "-n"], input=example.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in example.text.replace("\\\n", " ").splitlines():
        words = shlex.split(re.split(r"[|>&;)]| #", line)[0], comments=True) if "minitoolai " in line else []
        while words and ("=" in words[0] or words[0] == "exec"):
            words = words[1:]
        if words and words[0].rsplit("/", 1)[-1] == "minitoolai":
            parser().parse_args(words[1:])


def _section(page: str, heading: str) -> str:
    found = {name.replace("`", ""): text for name, text in sections(reference(page)).items()}
    assert heading in found, f"{page} has no heading {heading}"
    return found[heading]


def _default(item: msgspec.inspect.Field) -> str:
    """Return a setting's default as `settings.md` writes it."""
    if item.default_factory is not msgspec.NODEFAULT:
        value = item.default_factory()
        return "empty" if not msgspec.to_builtins(value) or isinstance(value, msgspec.Struct) else str(value)
    if item.required:
        return "required"
    if item.default is None:
        return "none"
    if isinstance(item.default, tuple):
        return json.dumps(list(item.default))
    return json.dumps(item.default)


def _commands(top: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command that can be run, with its whole name."""
    families = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    if not all(family.required for family in families) or not families:
        yield name, top
    for family in families:
        for word, command in family.choices.items():
            yield from _commands(command, f"{name} {word}")


def _options(command: argparse.ArgumentParser) -> set[str]:
    """Return a command's own options, and its positional arguments in capitals."""
    found: set[str] = set()
    for action in command._actions:
        if not set(action.option_strings) & COMMON and not isinstance(action, argparse._SubParsersAction):
            found |= set(action.option_strings) or {action.dest.upper()}
    return found


def _errors(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    """Yield every error that has a code of its own or is told as it is."""
    for below in kind.__subclasses__():
        if not below.__name__.startswith("_"):
            yield below
        yield from _errors(below)


def _status(kind: type[ApiError]) -> int:
    return status_of(kind.__new__(kind))
