"""OpenAI's package for Python against this server: chat in every form, errors, retries, models."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest

from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram
from tests.support.faithful_chat import Refusal
from tests.support.faithful_values import png

#: What the upstream fills into the program's schema.
SOLUTION = {"steps": [{"explanation": "Alaska", "certain": True}], "answer": 7}
#: What the upstream makes up for the arguments of a tool.
PLACE = {"location": "Alaska", "unit": "celsius"}


def test_a_whole_reply(openai_python: ClientProgram, visit: Visit) -> None:
    """The text, the usage with its cost, the headers and the account agree to the nano-dollar."""
    found = openai_python.ask("create", key=visit.key, text="Zażółć gęślą jaźń 🎉")
    reply = found["reply"]
    assert reply["choices"][0]["message"]["content"] == "You said: Zażółć gęślą jaźń 🎉"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert found["request_id"] == found["headers"]["x-request-id"]
    cost = Decimal(str(reply["usage"]["cost"]))
    assert cost == Decimal(found["headers"]["x-minitoolai-cost"])
    assert visit.settles() == cost * 10**9 > 0
    assert 5 - cost == Decimal(found["headers"]["x-minitoolai-balance"])


def test_a_stream(openai_python: ClientProgram, visit: Visit) -> None:
    """Token by token, then the usage."""
    chunks = openai_python.ask("stream", key=visit.key, text="Zażółć gęślą jaźń 🎉")
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta["content"] or "" for delta in deltas) == "You said: Zażółć gęślą jaźń 🎉"
    assert chunks[-1]["choices"] == []
    assert visit.settles() == round(chunks[-1]["usage"]["cost"] * 10**9) > 0


def test_every_choice_and_its_probabilities(openai_python: ClientProgram, visit: Visit) -> None:
    """`n`, `logprobs` and `stop` reach the model, in both forms."""
    fields = {"n": 2, "logprobs": True, "top_logprobs": 2, "stop": ["three"]}
    whole = openai_python.ask("create", key=visit.key, text="one two three", **fields)["reply"]
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["You said: one two "] * 2
    assert len(whole["choices"][1]["logprobs"]["content"]) == 6
    assert len(whole["choices"][1]["logprobs"]["content"][0]["top_logprobs"]) == 2
    chunks = openai_python.ask("stream", key=visit.key, text="one two three", **fields)
    said = dict.fromkeys(range(2), "")
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        said[choice["index"]] += choice["delta"]["content"] or ""
    assert said == {0: "You said: one two ", 1: "You said: one two "}
    visit.settles()


def test_a_limit_cuts_the_answer(openai_python: ClientProgram, visit: Visit) -> None:
    """`max_tokens`, the old name, limits as `max_completion_tokens` does, and the reply says so."""
    reply = openai_python.ask("create", key=visit.key, text="one two three four five", max_tokens=4)["reply"]
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 4
    visit.settles()


def test_a_reasoning_model(openai_python: ClientProgram, visit: Visit) -> None:
    """Tokens of reasoning are paid, and shown in the usage."""
    reply = openai_python.ask("create", key=visit.key, text="Think", model="o4-mini", reasoning_effort="low")["reply"]
    usage = reply["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 16
    assert usage["completion_tokens"] > 16
    assert visit.settles() == usage["prompt_tokens"] * 1100 + usage["completion_tokens"] * 4400


@pytest.mark.parametrize("streamed", [False, True])
def test_the_loop_of_tools(openai_python: ClientProgram, visit: Visit, streamed: bool) -> None:
    """Two tools called at once, run by the program, and the answer that is made of what they found."""
    found = openai_python.ask("tools_loop", key=visit.key, text="Use get_weather and get_time.", streamed=streamed)
    assert found["called"] == [["get_weather", PLACE], ["get_time", {}]]
    assert found["answer"] == "The tools found: get_weather: 7 degrees; get_time: 7 degrees."
    assert len(visit.calls) == 2
    visit.settles()


def test_a_schema(openai_python: ClientProgram, visit: Visit) -> None:
    """A class goes in, an object of it comes out: whole, and with the package's own events of a stream."""
    assert openai_python.ask("parse", key=visit.key, text="Solve it") == SOLUTION
    assert visit.calls[0].body["response_format"]["json_schema"]["strict"] is True
    streamed = openai_python.ask("stream_helper", key=visit.key, text="Solve it")
    assert streamed["parsed"] == SOLUTION
    assert "content.done" in streamed["kinds"]
    visit.settles()


def test_a_picture(openai_python: ClientProgram, visit: Visit) -> None:
    """A picture in the message reaches the model, and is paid as the upstream bills it."""
    picture = png(600, 300)
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": picture, "detail": "high"}},
    ]
    messages = [{"role": "user", "content": content}]
    reply = openai_python.ask("create", key=visit.key, text="", model="gpt-4o", messages=messages)["reply"]
    size = len(base64.b64decode(picture.partition(",")[2]))
    said = reply["choices"][0]["message"]["content"]
    assert said.endswith(f"I see 2: image/png of {size} bytes (low), image/png of {size} bytes (high).")
    assert visit.settles() > (2 * 85 + 2 * 170) * 2500


def test_many_calls_at_once(openai_python: ClientProgram, visit: Visit) -> None:
    """The asynchronous client's calls side by side, each with its own answer."""
    found = openai_python.ask("many_at_once", key=visit.key, count=20)
    assert found == [f"You said: number {number}" for number in range(20)]
    visit.settles()


def test_a_caller_who_leaves(openai_python: ClientProgram, visit: Visit) -> None:
    """The upstream stops; the account pays the prompt and what had been made, nothing more."""
    visit.upstream.pause_s = 0.05
    content = openai_python.ask("leave", key=visit.key, text="one two three " * 200, after=4)
    assert content.startswith("You said: one")
    (call,) = visit.calls
    assert call.ended.wait(20)
    assert call.left
    assert call.billed is not None
    spent = visit.spent_nusd()
    paid_tokens = (spent - call.billed["prompt_tokens"] * 150) / 600
    assert 4 <= paid_tokens <= call.billed["completion_tokens"] < 600


CASES: list[tuple[str, dict[str, Any], str, int, str, str | None]] = [
    ("a value out of range", {"temperature": 3}, "BadRequestError", 400, "invalid_value", "temperature"),
    ("a message of no role", {"messages": [{"role": "boss", "content": "x"}]}, "BadRequestError", 400, "invalid_value",
     "messages[0].role"),
    ("no such model", {"model": "gpt-99"}, "NotFoundError", 404, "model_not_found", "model"),
    ("a model without an engine", {"model": "gpt-4.1-nano"}, "InternalServerError", 503, "service_unavailable", "model"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "status", "code", "param"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_a_call_that_is_refused(
    openai_python: ClientProgram, visit: Visit, fields: dict[str, Any], kind: str, status: int, code: str, param: str | None
) -> None:
    """The package raises the class that its users catch, with code, parameter and request id; nothing is charged."""
    found = openai_python.ask("refused", key=visit.key, fields=fields)
    assert (found["class"], found["status_code"], found["code"], found["param"]) == (kind, status, code, param)
    assert found["request_id"].startswith("req_")
    assert not visit.calls
    assert visit.spent_nusd() == 0


def test_a_wrong_key(openai_python: ClientProgram, visit: Visit) -> None:
    """An unknown key is the package's AuthenticationError."""
    found = openai_python.ask("refused", key="sk-wrong", fields={})
    assert (found["class"], found["status_code"], found["code"]) == ("AuthenticationError", 401, "invalid_api_key")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_that_breaks_off(openai_python: ClientProgram, visit: Visit, streamed: bool) -> None:
    """Refused before the first byte: 502. Broken off in a stream: an error raised while reading, never a quiet end."""
    if streamed:
        visit.upstream.break_after = 3
        found = openai_python.ask("refused", key=visit.key, fields={"stream": True})
        assert (found["class"], found["code"]) == ("APIError", "upstream_error")
    else:
        visit.upstream.refusals = [Refusal(500, "canary", kind="server_error")]
        found = openai_python.ask("refused", key=visit.key, fields={})
        assert (found["class"], found["status_code"], found["code"]) == ("InternalServerError", 502, "upstream_error")
    assert "canary" not in found["message"]
    assert len(visit.calls) == 1
    assert visit.settles() == (0 if not streamed else visit.billed_nusd())


def test_retries_of_a_fault(openai_python: ClientProgram, visit: Visit) -> None:
    """A fault of the upstream is retried twice by the package, so three calls are seen; none is charged."""
    visit.upstream.refusals = [Refusal(500, "canary", kind="server_error")] * 3
    found = openai_python.ask("refused", key=visit.key, fields={}, max_retries=2)
    assert (found["class"], found["status_code"], found["retries"]) == ("InternalServerError", 502, "2")
    assert [call.status for call in visit.calls] == [500, 500, 500]
    assert visit.spent_nusd() == 0


def test_a_retry_that_succeeds_is_charged_once(openai_python: ClientProgram, visit: Visit) -> None:
    """Two faults and an answer: three calls upstream, one charge."""
    visit.upstream.refusals = [Refusal(503, "busy", kind="server_error"), Refusal(500, "canary", kind="server_error")]
    found = openai_python.ask("retried", key=visit.key)
    assert found["content"] == "You said: Hello"
    assert [call.status for call in visit.calls] == [503, 500, 200]
    assert visit.settles() > 0


def test_a_rate_limit_is_waited_for(openai_python: ClientProgram, visit: Visit) -> None:
    """429 with Retry-After: the package waits as long as it was told, then gets its answer."""
    visit.upstream.refusals = [Refusal(429, "slow down", kind="requests", code="rate_limit_exceeded", retry_after="3")]
    found = openai_python.ask("retried", key=visit.key)
    assert found["content"] == "You said: Hello"
    # Without the header it would wait half a second.
    assert found["took_s"] >= 3
    assert [call.status for call in visit.calls] == [429, 200]
    visit.settles()


def test_an_empty_account_is_not_retried(openai_python: ClientProgram, visit: Visit) -> None:
    """402 ends the call at once, however many retries are allowed."""
    found = openai_python.ask("refused", key=visit.broke().key, fields={}, max_retries=2)
    assert (found["class"], found["status_code"], found["code"]) == ("APIStatusError", 402, "insufficient_credit")
    assert (found["type"], found["retries"]) == ("insufficient_quota", "0")
    assert not visit.calls


def test_the_models(openai_python: ClientProgram, visit: Visit) -> None:
    """The list has what has an engine; one of them is shown; a name that is none is NotFoundError."""
    found = openai_python.ask("models", key=visit.key)
    assert {"gpt-4o-mini", "gpt-4o", "gpt-4.1", "o4-mini"} <= set(found["list"])
    assert "gpt-4.1-nano" not in found["list"]
    assert (found["one"]["id"], found["one"]["object"]) == ("gpt-4o-mini", "model")
    assert (found["none"]["class"], found["none"]["code"]) == ("NotFoundError", "model_not_found")
