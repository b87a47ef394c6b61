"""`minitoolai models`, by the settings alone: it needs no database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minitoolai.cli.main import main

SETTINGS = """
[engines.a]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
[engines.b]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
[models."gpt-4o"]
engines = ["b", "a"]
"""


def test_every_engine_of_a_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model with several engines is shown with all of them in their order; one without has none."""
    file = tmp_path / "minitoolai.toml"
    file.write_text(SETTINGS)
    assert main(["models", "--config", str(file), "--json"]) == 0
    shown = {model["id"]: model for model in json.loads(capsys.readouterr().out)}
    assert (shown["gpt-4o"]["engine"], shown["gpt-4o"]["engines"]) == ("b", ["b", "a"])
    assert (shown["gpt-4.1"]["engine"], shown["gpt-4.1"]["engines"]) == (None, [])
    assert main(["models", "--config", str(file)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(row.startswith("gpt-4o ") and "b, a" in row for row in rows)
