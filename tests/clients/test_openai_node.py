"""OpenAI's package for JavaScript against this server, on the Node.js that it asks for."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from minitoolai.core.speech import FORMATS, MEDIA_TYPES, AudioFormat
from tests.clients.conftest import Visit
from tests.support.client_programs import ROOT, ClientProgram, client_command, client_program
from tests.support.faithful_chat import Refusal
from tests.support.faithful_speech import CHARACTER_S
from tests.support.faithful_values import png
from tests.support.pictures import opened
from tests.support.speaking_child import heard

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["city", "size"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def program(variables: dict[str, str], client_folder: Path) -> Iterator[ClientProgram]:
    """The program, one process for all tests here."""
    file = ROOT / "tests" / "clients" / "node" / "openai_node.mjs"
    with client_program([client_command("node"), str(file)], client_folder, variables) as running:
        yield running


def test_a_whole_reply(program: ClientProgram, visit: Visit) -> None:
    """The text, its cost and the request id."""
    found = program.ask("create", key=visit.key, text="Zażółć 🎉", fields={})
    assert found["reply"]["choices"][0]["message"]["content"] == "You said: Zażółć 🎉"
    assert found["requestID"].startswith("req_")
    assert visit.settles() == Decimal(found["cost"]) * 10**9 > 0


def test_a_stream(program: ClientProgram, visit: Visit) -> None:
    """Token by token, then the usage."""
    chunks = program.ask("stream", key=visit.key, text="Zażółć 🎉", fields={"n": 2})
    said = dict.fromkeys(range(2), "")
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        said[choice["index"]] += choice["delta"].get("content") or ""
    assert said == dict.fromkeys(range(2), "You said: Zażółć 🎉")
    assert visit.settles() == round(chunks[-1]["usage"]["cost"] * 10**9) > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_the_packages_own_loop_of_tools(program: ClientProgram, visit: Visit, streamed: bool) -> None:
    """`runTools` calls the function and gets the answer that is made of what it found."""
    found = program.ask("tools", key=visit.key, text="Use get_weather.", streamed=streamed)
    assert found["called"] == [{"location": "Alaska"}]
    assert found["answer"] == "The tools found: Alaska: 7 degrees."
    assert len(visit.calls) == 2
    visit.settles()


def test_a_schema(program: ClientProgram, visit: Visit) -> None:
    """The reply fits the schema."""
    assert program.ask("schema", key=visit.key, text="Which?", schema=SCHEMA) == {"city": "Alaska", "size": 7}
    visit.settles()


def test_a_picture(program: ClientProgram, visit: Visit) -> None:
    """A picture in the message reaches the model."""
    content = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": png(64, 64), "detail": "low"}},
    ]
    fields = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
    reply = program.ask("create", key=visit.key, text="", fields=fields)["reply"]
    assert "I see 1: image/png" in reply["choices"][0]["message"]["content"]
    visit.settles()


def test_a_caller_who_leaves(program: ClientProgram, visit: Visit) -> None:
    """A loop that is broken off stops the upstream, and pays what had been made."""
    visit.upstream.pause_s = 0.05
    content = program.ask("leave", key=visit.key, text="one two three " * 200, after=4)
    assert content.startswith("You said: one")
    (call,) = visit.calls
    assert call.ended.wait(20)
    assert call.left
    assert call.billed is not None
    assert 0 < visit.spent_nusd() <= visit.billed_nusd()
    assert call.billed["completion_tokens"] < 600


CASES: list[tuple[dict[str, Any], str, int, str, str | None]] = [
    ({"temperature": 3}, "BadRequestError", 400, "invalid_value", "temperature"),
    ({"model": "gpt-99"}, "NotFoundError", 404, "model_not_found", "model"),
    ({"model": "gpt-4.1-nano"}, "InternalServerError", 503, "service_unavailable", "model"),
]


@pytest.mark.parametrize(("fields", "kind", "status", "code", "param"), CASES, ids=[case[1] for case in CASES])
def test_a_call_that_is_refused(
    program: ClientProgram, visit: Visit, fields: dict[str, Any], kind: str, status: int, code: str, param: str | None
) -> None:
    """The package throws the class that its users catch; nothing is charged."""
    found = program.ask("refused", key=visit.key, fields=fields)
    assert (found["class"], found["status"], found["code"], found["param"]) == (kind, status, code, param)
    assert found["requestID"].startswith("req_")
    assert visit.spent_nusd() == 0


def test_a_wrong_key(program: ClientProgram, visit: Visit) -> None:
    """An unknown key is the package's AuthenticationError."""
    found = program.ask("refused", key="sk-wrong", fields={})
    assert (found["class"], found["status"], found["code"]) == ("AuthenticationError", 401, "invalid_api_key")


def test_a_stream_that_breaks_off(program: ClientProgram, visit: Visit) -> None:
    """Reading on throws: a cut answer is never taken for a whole one."""
    visit.upstream.break_after = 3
    found = program.ask("refused", key=visit.key, fields={"stream": True})
    assert (found["class"], found["code"]) == ("APIError", "upstream_error")
    assert visit.settles() > 0


def test_retries(program: ClientProgram, visit: Visit) -> None:
    """A fault is retried twice and costs nothing; the answer that comes in the end is charged once."""
    visit.upstream.refusals = [Refusal(500, "canary", kind="server_error")] * 3
    found = program.ask("refused", key=visit.key, fields={}, maxRetries=2)
    assert (found["class"], found["status"]) == ("InternalServerError", 502)
    assert [call.status for call in visit.calls] == [500, 500, 500]
    assert visit.spent_nusd() == 0
    visit.upstream.refusals = [Refusal(500, "canary", kind="server_error")]
    assert program.ask("retried", key=visit.key)["content"] == "You said: Hello"
    assert [call.status for call in visit.calls] == [500] * 4 + [200]
    assert visit.settles() > 0


def test_an_empty_account_is_not_retried(program: ClientProgram, visit: Visit) -> None:
    """402 ends the call at once."""
    found = program.ask("counted", key=visit.broke().key)
    assert (found["status"], found["code"], found["sent"]) == (402, "insufficient_credit", 1)
    assert not visit.calls


def test_a_rate_limit_is_waited_for(program: ClientProgram, visit: Visit) -> None:
    """429 with Retry-After: the package waits as long as it was told."""
    visit.upstream.refusals = [Refusal(429, "slow down", kind="requests", code="rate_limit_exceeded", retry_after="2")]
    found = program.ask("retried", key=visit.key)
    assert found["content"] == "You said: Hello"
    assert found["took_s"] >= 2
    assert [call.status for call in visit.calls] == [429, 200]


def test_the_models(program: ClientProgram, visit: Visit) -> None:
    """The list, one of them, and one that is none."""
    found = program.ask("models", key=visit.key)
    assert {"gpt-4o-mini", "gpt-4o", "gpt-4.1", "o4-mini"} <= set(found["list"])
    assert found["one"]["id"] == "gpt-4o-mini"
    assert (found["none"]["class"], found["none"]["status"]) == ("NotFoundError", 404)


def test_a_response(program: ClientProgram, visit: Visit) -> None:
    """The Responses API, whole and gathered from its stream."""
    found = program.ask("respond", key=visit.key, fields={"input": "Zażółć 🎉"})
    assert (found["text"], found["status"]) == ("You said: Zażółć 🎉", "completed")
    streamed = program.ask("respondStreamed", key=visit.key, fields={"input": "one two three"})
    assert streamed["text"] == "You said: one two three"
    assert (streamed["kinds"][0], streamed["kinds"][-1]) == ("response.created", "response.completed")
    assert visit.settles() > 0


def test_embeddings(program: ClientProgram, visit: Visit) -> None:
    """Vectors in the package's own encoding."""
    found = program.ask("embed", key=visit.key, fields={"input": ["one", "two"]})
    assert [len(item["embedding"]) for item in found["data"]] == [1536, 1536]
    assert visit.settles() > 0


def test_pictures(program: ClientProgram, visit: Visit) -> None:
    """In base64 and by link, with the cost beside them."""
    found = program.ask("images", key=visit.key, fields={"n": 2, "response_format": "b64_json"})
    assert [opened(b64decode(each["b64_json"])).size for each in found["data"]] == [(1024, 1024)] * 2
    assert found["usage"]["cost"] == 0.08
    found = program.ask("images", key=visit.key, fields={"size": "1536x1024"})
    assert "/files/" in found["data"][0]["url"]
    assert visit.spent_nusd() == 120_000_000


@pytest.mark.parametrize("sound_format", FORMATS)
def test_speech(program: ClientProgram, visit: Visit, tmp_path: Path, sound_format: AudioFormat) -> None:
    """A stream that is written to a file, in every format; a decoder reads all of it."""
    path, fields = tmp_path / "speech", {"input": "Zażółć 🎉", "response_format": sound_format}
    assert program.ask("speak", key=visit.key, path=str(path), fields=fields) == MEDIA_TYPES[sound_format]
    listened = heard(path.read_bytes(), sound_format)
    assert len(listened.samples) / listened.rate == pytest.approx(8 * CHARACTER_S, abs=0.1)
    assert visit.spent_nusd() == 8 * 15_000
