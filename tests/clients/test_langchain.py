"""LangChain's package for OpenAI against this server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram, client_command, client_program
from tests.support.faithful_values import vector


@pytest.fixture(scope="module")
def program(variables: dict[str, str], client_folder: Path) -> Iterator[ClientProgram]:
    """The program, one process for all tests here; its tracing service is switched off."""
    command = [client_command("python"), "-m", "tests.clients.programs.langchain_openai_python"]
    with client_program(command, client_folder, {**variables, "LANGSMITH_TRACING": "false"}) as running:
        yield running


def test_a_whole_reply(program: ClientProgram, visit: Visit) -> None:
    """Text, usage and the model's name in the package's own fields."""
    found = program.ask("invoke", key=visit.key, text="Zażółć 🎉")
    assert found["content"] == "You said: Zażółć 🎉"
    (call,) = visit.calls
    assert call.billed is not None
    assert found["usage"]["input_tokens"] == call.billed["prompt_tokens"]
    assert found["usage"]["output_tokens"] == call.billed["completion_tokens"]
    assert found["about"]["finish_reason"] == "stop"
    assert visit.settles() > 0


def test_a_reply_by_the_responses_api(program: ClientProgram, visit: Visit) -> None:
    """The package's other way to the same models."""
    found = program.ask("invoke", key=visit.key, text="Zażółć 🎉", use_responses_api=True)
    assert found["content"] == "You said: Zażółć 🎉"
    assert found["usage"]["output_tokens"] > 3
    assert visit.settles() > 0


def test_a_stream(program: ClientProgram, visit: Visit) -> None:
    """Chunks that add up to the answer and its usage."""
    found = program.ask("stream", key=visit.key, text="one two three")
    assert found["content"] == "You said: one two three"
    assert found["chunks"] > 5
    assert found["usage"]["output_tokens"] > 3
    assert visit.settles() > 0


def test_many_calls_at_once(program: ClientProgram, visit: Visit) -> None:
    """Calls side by side, each with its own answer."""
    texts = [f"number {number}" for number in range(8)]
    assert program.ask("batch", key=visit.key, texts=texts) == [f"You said: {text}" for text in texts]
    visit.settles()


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_an_object_of_a_class(program: ClientProgram, visit: Visit, method: str) -> None:
    """By a schema, by a tool and by plain JSON."""
    visit.upstream.text = '{"name": "Alaska", "area_km2": 7}' if method == "json_mode" else None
    found = program.ask("structured", key=visit.key, text="Which place?", method=method)
    assert found == {"name": "Alaska", "area_km2": 7}
    visit.settles()


def test_the_loop_of_tools(program: ClientProgram, visit: Visit) -> None:
    """A bound tool is called and told."""
    found = program.ask("tools_loop", key=visit.key, text="Use get_weather.")
    assert found == {"answer": "The tools found: Alaska: 7 degrees.", "called": ["Alaska"]}
    visit.settles()


def test_embeddings(program: ClientProgram, visit: Visit) -> None:
    """Vectors of texts, as a vector store asks for them."""
    found = program.ask("embed", key=visit.key, texts=["one", "two"], check_embedding_ctx_length=False)
    assert found[0] == pytest.approx(vector('"one"', 1536), abs=1e-9)
    assert len(found) == 2
    assert visit.settles() > 0
