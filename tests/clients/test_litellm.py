"""LiteLLM's package as a client of this server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram, client_command, client_program


@pytest.fixture(scope="module")
def program(variables: dict[str, str], client_folder: Path) -> Iterator[ClientProgram]:
    """The program, one process for all tests here; its prices come with the package, not from a network."""
    command = [client_command("python"), "-m", "tests.clients.programs.litellm_python"]
    with client_program(command, client_folder, {**variables, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}) as running:
        yield running


def test_a_whole_reply(program: ClientProgram, visit: Visit) -> None:
    """Text, usage and our cost beside it."""
    found = program.ask("complete", key=visit.key, text="Zażółć 🎉")
    assert found["choices"][0]["message"]["content"] == "You said: Zażółć 🎉"
    assert visit.settles() == round(found["usage"]["cost"] * 10**9) > 0


def test_a_stream(program: ClientProgram, visit: Visit) -> None:
    """Chunks that the package gathers into the answer and its usage."""
    found = program.ask("stream", key=visit.key, text="one two three")
    assert found["content"] == "You said: one two three"
    assert found["count"] > 5
    (call,) = visit.calls
    assert call.billed is not None
    assert found["usage"]["completion_tokens"] == call.billed["completion_tokens"]
    visit.settles()


@pytest.mark.parametrize("streamed", [False, True])
def test_the_loop_of_tools(program: ClientProgram, visit: Visit, streamed: bool) -> None:
    """A tool is called and told."""
    found = program.ask("tools_loop", key=visit.key, text="Use get_weather.", streamed=streamed)
    assert found == {"answer": "The tools found: 7 degrees.", "called": [["get_weather", {"location": "Alaska"}]]}
    visit.settles()


CASES: list[tuple[dict[str, Any], str, int]] = [
    ({"temperature": 3}, "BadRequestError", 400),
    ({"model": "openai/gpt-99"}, "NotFoundError", 404),
    ({"api_key": "sk-wrong"}, "AuthenticationError", 401),
    ({"extra_headers": {"x-max-cost": "0.000001"}}, "APIError", 402),
]


@pytest.mark.parametrize(("fields", "kind", "status"), CASES, ids=[case[1] for case in CASES])
def test_a_call_that_is_refused(
    program: ClientProgram, visit: Visit, fields: dict[str, Any], kind: str, status: int
) -> None:
    """The package sorts our errors into its own classes."""
    found = program.ask("refused", key=visit.key, fields=fields)
    assert (found["class"], found["status_code"]) == (kind, status)
    assert not visit.calls
    assert visit.spent_nusd() == 0


def test_embeddings(program: ClientProgram, visit: Visit) -> None:
    """Vectors and what they cost."""
    found = program.ask("embed", key=visit.key, texts=["one", "two"])
    assert [len(item["embedding"]) for item in found["data"]] == [1536, 1536]
    assert visit.settles() > 0
