"""Embeddings through OpenAI's package for Python."""

from __future__ import annotations

import json

import pytest

from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram
from tests.support.faithful_values import vector


def test_the_packages_own_encoding(openai_python: ClientProgram, visit: Visit) -> None:
    """The package asks for base64 and decodes it: the vectors come through to the bit, the tokens are paid."""
    found = openai_python.ask("embed", key=visit.key, input=["one", "Zażółć 🎉"])
    assert visit.calls[0].body["encoding_format"] == "base64"
    for index, text in enumerate(("one", "Zażółć 🎉")):
        assert found["data"][index]["index"] == index
        assert found["data"][index]["embedding"] == pytest.approx(vector(json.dumps(text), 1536), abs=1e-9)
    (call,) = visit.calls
    assert call.billed is not None
    assert found["usage"]["prompt_tokens"] == call.billed["prompt_tokens"]
    assert visit.settles() == call.billed["prompt_tokens"] * 20 > 0


def test_one_text_as_numbers_of_fewer_dimensions(openai_python: ClientProgram, visit: Visit) -> None:
    """`encoding_format: float`, `dimensions`, and one text in place of a list."""
    found = openai_python.ask("embed", key=visit.key, input="one", encoding_format="float", dimensions=8)
    assert found["data"][0]["embedding"] == pytest.approx(vector('"one"', 8), abs=1e-9)
    assert len(found["data"]) == 1
    visit.settles()


def test_tokens_in_place_of_text(openai_python: ClientProgram, visit: Visit) -> None:
    """Lists of tokens, as LangChain sends them, are counted one by one."""
    found = openai_python.ask("embed", key=visit.key, input=[[1, 2, 3], [4, 5]])
    assert len(found["data"]) == 2
    assert found["usage"]["prompt_tokens"] == 5
    assert visit.settles() == 100


def test_a_text_of_nothing_is_refused(openai_python: ClientProgram, visit: Visit) -> None:
    """An empty list is the caller's mistake; nothing is charged."""
    found = openai_python.ask("embed_refused", key=visit.key, fields={"input": []})
    assert (found["class"], found["status_code"], found["param"]) == ("BadRequestError", 400, "input")
    assert visit.spent_nusd() == 0
