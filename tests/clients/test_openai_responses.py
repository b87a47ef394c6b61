"""The Responses API through OpenAI's package for Python."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Visit
from tests.clients.test_openai_python import SOLUTION
from tests.support.client_programs import ClientProgram
from tests.support.faithful_values import png


def test_a_whole_response(openai_python: ClientProgram, visit: Visit) -> None:
    """Text in, `output_text` out, with the usage under its names of this API and the exact charge."""
    found = openai_python.ask("respond", key=visit.key, input="Zażółć 🎉", instructions="Be brief.")
    assert found["text"] == "You said: Zażółć 🎉"
    reply = found["reply"]
    assert (reply["object"], reply["status"]) == ("response", "completed")
    assert reply["id"].startswith("resp_")
    assert visit.calls[0].body["messages"][0]["content"] == "Be brief."
    (call,) = visit.calls
    assert call.billed is not None
    assert reply["usage"]["input_tokens"] == call.billed["prompt_tokens"]
    assert reply["usage"]["output_tokens"] == call.billed["completion_tokens"]
    assert visit.settles() > 0


def test_a_streamed_response(openai_python: ClientProgram, visit: Visit) -> None:
    """The package's own gathering accepts every event in its order."""
    found = openai_python.ask("respond_streamed", key=visit.key, input="one two three")
    assert found["text"] == "You said: one two three"
    assert found["kinds"][0] == "response.created"
    assert found["kinds"][-1] == "response.completed"
    assert found["kinds"].count("response.output_text.delta") > 3
    for kind in ("response.output_item.added", "response.content_part.added", "response.output_text.done",
                 "response.content_part.done", "response.output_item.done"):  # fmt: skip
        assert found["kinds"].count(kind) == 1
    assert found["usage"]["output_tokens"] > 3
    assert visit.settles() > 0


def test_a_response_cut_by_its_limit(openai_python: ClientProgram, visit: Visit) -> None:
    """`max_output_tokens` cuts the answer, and the response says that it is incomplete and why."""
    found = openai_python.ask("respond", key=visit.key, input="one two three " * 30, max_output_tokens=16)
    assert found["reply"]["status"] == "incomplete"
    assert found["reply"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert found["reply"]["usage"]["output_tokens"] == 16
    visit.settles()


def test_the_loop_of_tools(openai_python: ClientProgram, visit: Visit) -> None:
    """A function is called and told; its items go back as they came."""
    found = openai_python.ask("respond_tools", key=visit.key, text="Use get_weather.")
    assert found["called"] == [["get_weather", {"location": "Alaska", "unit": "celsius"}]]
    assert found["answer"] == "The tools found: 7 degrees."
    assert len(visit.calls) == 2
    visit.settles()


def test_a_schema(openai_python: ClientProgram, visit: Visit) -> None:
    """A class goes in, an object of it comes out."""
    assert openai_python.ask("respond_parsed", key=visit.key, text="Solve it") == SOLUTION
    assert visit.calls[0].body["response_format"]["type"] == "json_schema"
    visit.settles()


def test_reasoning(openai_python: ClientProgram, visit: Visit) -> None:
    """The effort reaches the model; its tokens of reasoning are shown and paid."""
    found = openai_python.ask("respond", key=visit.key, model="o4-mini", input="Think", reasoning={"effort": "low"})
    assert found["reply"]["usage"]["output_tokens_details"]["reasoning_tokens"] == 16
    assert visit.settles() > 0


def test_a_picture(openai_python: ClientProgram, visit: Visit) -> None:
    """`input_image` reaches the model as a picture."""
    parts = [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": png(64, 64), "detail": "low"}]
    found = openai_python.ask("respond", key=visit.key, model="gpt-4o", input=[{"role": "user", "content": parts}])
    assert "I see 1: image/png" in found["text"]
    visit.settles()


@pytest.mark.parametrize("fields", [{"temperature": 9}, {"previous_response_id": "resp_123"}])
def test_what_cannot_be_done_is_refused(openai_python: ClientProgram, visit: Visit, fields: dict[str, object]) -> None:
    """A bad value, and a reference to a response that nobody stored, are the caller's mistake and are named."""
    (param,) = fields
    found = openai_python.ask("respond_refused", key=visit.key, fields=fields)
    assert (found["class"], found["status_code"], found["param"]) == ("BadRequestError", 400, param)
    assert not visit.calls
    assert visit.spent_nusd() == 0
