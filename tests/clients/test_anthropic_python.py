"""Anthropic's package for Python against this server, told only the base URL and a key of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram, client_command, client_program
from tests.support.faithful_chat import Refusal
from tests.support.faithful_values import png


@pytest.fixture(scope="module")
def program(variables: dict[str, str], client_folder: Path) -> Iterator[ClientProgram]:
    """The program, one process for all tests here."""
    command = [client_command("python"), "-m", "tests.clients.programs.anthropic_python"]
    with client_program(command, client_folder, variables) as running:
        yield running


def test_a_whole_message(program: ClientProgram, visit: Visit) -> None:
    """A system text and a message in, blocks of text out, with the usage under its names of this API."""
    found = program.ask("create", key=visit.key, text="Zażółć 🎉", system="Be brief.", stop_sequences=["never"])
    assert (found["type"], found["role"], found["stop_reason"]) == ("message", "assistant", "end_turn")
    assert [(block["type"], block["text"]) for block in found["content"]] == [("text", "You said: Zażółć 🎉")]
    assert found["id"].startswith("msg_")
    assert found["request_id"].startswith("req_")
    (call,) = visit.calls
    assert call.billed is not None
    assert call.body["messages"][0]["content"] == "Be brief."
    assert call.body["stop"] == ["never"]
    assert found["usage"]["input_tokens"] == call.billed["prompt_tokens"]
    assert found["usage"]["output_tokens"] == call.billed["completion_tokens"]
    assert visit.settles() > 0


def test_a_stream(program: ClientProgram, visit: Visit) -> None:
    """The package's own gathering accepts every event in its order."""
    found = program.ask("stream", key=visit.key, text="one two three")
    assert found["text"] == "You said: one two three"
    message = found["message"]
    assert message["content"][0]["text"] == "You said: one two three"
    assert message["stop_reason"] == "end_turn"
    (call,) = visit.calls
    assert call.billed is not None
    assert message["usage"]["output_tokens"] == call.billed["completion_tokens"]
    assert message["usage"]["input_tokens"] == call.billed["prompt_tokens"]
    assert visit.settles() > 0


def test_the_events_of_a_stream(program: ClientProgram, visit: Visit) -> None:
    """As published: the start, one block, the reason to stop, the end."""
    events = program.ask("raw_stream", key=visit.key, text="one two")
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert (
        "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta") == "You said: one two"
    )
    visit.settles()


def test_a_limit_cuts_the_answer(program: ClientProgram, visit: Visit) -> None:
    """`max_tokens` limits, and the message says why it stopped."""
    found = program.ask("create", key=visit.key, text="one two three four five six", max_tokens=4)
    assert found["stop_reason"] == "max_tokens"
    assert found["usage"]["output_tokens"] == 4
    visit.settles()


@pytest.mark.parametrize("streamed", [False, True])
def test_the_loop_of_tools(program: ClientProgram, visit: Visit, streamed: bool) -> None:
    """A tool is used and told; the answer is made of what it found."""
    found = program.ask("tools_loop", key=visit.key, text="Use get_weather.", streamed=streamed)
    assert found["called"] == [["get_weather", {"location": "Alaska"}]]
    assert found["answer"] == "The tools found: 7 degrees."
    assert found["stops"] == ["tool_use", "end_turn"]
    assert len(visit.calls) == 2
    visit.settles()


def test_the_package_runs_tools_itself(program: ClientProgram, visit: Visit) -> None:
    """Its runner wants the server to keep the conversation, is told that this one does not, and goes on without."""
    assert program.ask("tool_runner", key=visit.key, text="Use get_weather.") == "The tools found: 7 degrees in Alaska."
    assert len(visit.calls) == 2
    visit.settles()


def test_an_answer_of_a_given_form(program: ClientProgram, visit: Visit) -> None:
    """The package's own parsing accepts what a schema made."""
    assert program.ask("parse", key=visit.key, text="Where?") == "Alaska"
    assert visit.calls[0].body["response_format"]["json_schema"]["strict"] is True
    visit.settles()


def test_a_chosen_tool(program: ClientProgram, visit: Visit) -> None:
    """`tool_choice` of one tool reaches the model as OpenAI's."""
    tool: dict[str, Any] = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
    other = {**tool, "name": "get_weather"}
    choice = {"type": "tool", "name": "get_time", "disable_parallel_tool_use": True}
    found = program.ask("create", key=visit.key, text="Go", tools=[other, tool], tool_choice=choice)
    assert [block["name"] for block in found["content"] if block["type"] == "tool_use"] == ["get_time"]
    assert visit.calls[0].body["tool_choice"] == {"type": "function", "function": {"name": "get_time"}}
    assert visit.calls[0].body["parallel_tool_calls"] is False
    visit.settles()


def test_a_picture(program: ClientProgram, visit: Visit) -> None:
    """A block with a picture reaches the model."""
    data = png(64, 64).partition(",")[2]
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "text", "text": "Look"}, {"type": "image", "source": source}]
    found = program.ask("create", key=visit.key, text="", model="gpt-4o", messages=[{"role": "user", "content": content}])
    assert "I see 1: image/png" in found["content"][0]["text"]
    visit.settles()


def test_tokens_are_counted_without_a_charge(program: ClientProgram, visit: Visit) -> None:
    """`count_tokens` tells what the message then has, asks no upstream and costs nothing."""
    text = "Zażółć gęślą jaźń " * 20
    counted = program.ask("count_tokens", key=visit.key, text=text)
    assert not visit.calls
    assert visit.spent_nusd() == 0
    found = program.ask("create", key=visit.key, text=text)
    assert counted == found["usage"]["input_tokens"]


def test_a_caller_who_leaves(program: ClientProgram, visit: Visit) -> None:
    """The upstream stops; what had been made is paid."""
    visit.upstream.pause_s = 0.05
    content = program.ask("leave", key=visit.key, text="one two three " * 200, after=4)
    assert content.startswith("You said: one")
    (call,) = visit.calls
    assert call.ended.wait(20)
    assert call.left
    assert 0 < visit.spent_nusd() <= visit.billed_nusd()


CASES: list[tuple[dict[str, Any], str, int, str]] = [
    ({"extra_body": {"temperature": 9}}, "BadRequestError", 400, "invalid_request_error"),
    ({"messages": []}, "BadRequestError", 400, "invalid_request_error"),
    ({"model": "claude-none"}, "NotFoundError", 404, "not_found_error"),
]


@pytest.mark.parametrize(("fields", "kind", "status", "word"), CASES, ids=[next(iter(case[0])) for case in CASES])
def test_a_call_that_is_refused(
    program: ClientProgram, visit: Visit, fields: dict[str, Any], kind: str, status: int, word: str
) -> None:
    """The package raises the class that its users catch, and the body has Anthropic's shape."""
    found = program.ask("refused", key=visit.key, fields=fields)
    assert (found["class"], found["status_code"]) == (kind, status)
    assert found["body"]["type"] == "error"
    assert found["body"]["error"]["type"] == word
    assert found["request_id"].startswith("req_")
    assert not visit.calls
    assert visit.spent_nusd() == 0


def test_a_wrong_key(program: ClientProgram, visit: Visit) -> None:
    """An unknown key is the package's AuthenticationError."""
    found = program.ask("refused", key="sk-wrong", fields={})
    assert (found["class"], found["status_code"]) == ("AuthenticationError", 401)
    assert found["body"]["error"]["type"] == "authentication_error"


def test_a_stream_that_breaks_off(program: ClientProgram, visit: Visit) -> None:
    """Reading on raises: a cut answer is never taken for a whole one."""
    visit.upstream.break_after = 3
    found = program.ask("refused", key=visit.key, fields={"stream": True})
    assert (found["class"], found["type"]) == ("APIStatusError", "api_error")
    assert found["body"]["type"] == "error"
    assert "canary" not in found["message"]
    assert visit.settles() > 0


def test_retries(program: ClientProgram, visit: Visit) -> None:
    """A fault is retried twice and costs nothing; the answer that comes in the end is charged once."""
    visit.upstream.refusals = [Refusal(500, "canary", kind="server_error")] * 3
    found = program.ask("refused", key=visit.key, fields={}, max_retries=2)
    assert found["status_code"] == 502
    assert [call.status for call in visit.calls] == [500, 500, 500]
    assert visit.spent_nusd() == 0
    visit.upstream.refusals = [Refusal(500, "canary", kind="server_error")]
    assert program.ask("retried", key=visit.key)["text"] == "You said: Hello"
    assert visit.settles() > 0


def test_a_rate_limit_is_waited_for(program: ClientProgram, visit: Visit) -> None:
    """429 with Retry-After: the package waits as long as it was told."""
    visit.upstream.refusals = [Refusal(429, "slow down", kind="requests", code="rate_limit_exceeded", retry_after="2")]
    found = program.ask("retried", key=visit.key)
    assert found["text"] == "You said: Hello"
    assert found["took_s"] >= 2
    assert [call.status for call in visit.calls] == [429, 200]


def test_the_models(program: ClientProgram, visit: Visit) -> None:
    """The package's own list shows what has an engine."""
    assert {"gpt-4o-mini", "gpt-4o", "gpt-4.1", "o4-mini"} <= set(program.ask("models", key=visit.key))


def test_an_empty_account_is_not_retried(program: ClientProgram, visit: Visit) -> None:
    """402 ends the call at once, however many retries are allowed."""
    found = program.ask("refused", key=visit.broke().key, fields={}, max_retries=2)
    assert found["status_code"] == 402
    assert (found["class"], found["retries"]) == ("PaymentRequiredError", "0")
    assert not visit.calls
