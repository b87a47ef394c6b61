"""The `llm` command against this server: one entry in its list of models, and our key."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Visit
from tests.support.client_programs import client_command

_MODELS = """
- model_id: ours
  model_name: gpt-4o-mini
  api_base: {base}/v1
  api_key_name: minitoolai
  supports_schema: true
  supports_tools: true
- model_id: responses
  model_name: gpt-4o-mini
  api_base: {base}/v1
  api_key_name: minitoolai
  responses: true
"""


@pytest.fixture
def folder(variables: dict[str, str], tmp_path: Path) -> Path:
    """The command's folder with our entry; logging is off, so that nothing is kept."""
    (tmp_path / "extra-openai-models.yaml").write_text(_MODELS.format(base=variables["SERVER"]))
    (tmp_path / "logs-off").touch()
    return tmp_path


def run(variables: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [client_command("llm"), *arguments], env={**variables, "LLM_USER_PATH": str(folder)}, capture_output=True,
        encoding="utf-8", check=False, timeout=60, input="",
    )  # fmt: skip


@pytest.mark.parametrize("streamed", [True, False])
def test_a_prompt(variables: dict[str, str], visit: Visit, folder: Path, streamed: bool) -> None:
    """The answer is printed, streamed or whole, and paid."""
    more = [] if streamed else ["--no-stream"]
    done = run(variables, folder, "-m", "ours", "--key", visit.key, "-s", "Be brief.", *more, "Zażółć 🎉")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "You said: Zażółć 🎉\n"
    (call,) = visit.calls
    assert bool(call.body.get("stream")) == streamed
    assert visit.settles() > 0


def test_a_prompt_by_the_responses_api(variables: dict[str, str], visit: Visit, folder: Path) -> None:
    """The command's other way to the same models, streamed."""
    done = run(variables, folder, "-m", "responses", "--key", visit.key, "Zażółć 🎉")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "You said: Zażółć 🎉\n"
    assert visit.settles() > 0


def test_a_schema(variables: dict[str, str], visit: Visit, folder: Path) -> None:
    """`--schema` prints JSON that fits."""
    done = run(variables, folder, "-m", "ours", "--key", visit.key, "--schema", "city, size int", "Which?")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"city": "Alaska", "size": 7}
    visit.settles()


def test_a_tool(variables: dict[str, str], visit: Visit, folder: Path) -> None:
    """`-T` offers a tool that the command runs itself."""
    done = run(variables, folder, "-m", "ours", "--key", visit.key, "-T", "llm_time", "What time is it?")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The tools found: ")
    assert "local_time" in done.stdout
    assert len(visit.calls) == 2
    visit.settles()


def test_a_wrong_key(variables: dict[str, str], visit: Visit, folder: Path) -> None:
    """The command ends with our message, which says what to do."""
    done = run(variables, folder, "-m", "ours", "--key", "sk-wrong", "Hello")
    assert done.returncode == 1
    assert "Error code: 401" in done.stderr
    assert "not a key of this server" in done.stderr
    assert not visit.calls
