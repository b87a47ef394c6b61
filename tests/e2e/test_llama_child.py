"""What the llama child serves: shapes, limits, and slots that cancelled requests give back.

The model has random weights, so answers are noise.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_gguf
from tests.support.llama_child import CHAT, ENDLESS, HI, START_S, LlamaChild, UnixConnection, running, short_folder

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: the llama child is NOT TESTED")

STARTER = Path("src/minitoolai/children/models/starter-chat.gguf")
#: A slot of a cancelled stream must be free again this soon (median, measured 1 to 3 ms on an idle machine).
FREED_S = 0.05


@pytest.fixture(scope="module")
def child() -> Iterator[LlamaChild]:
    """One child with two slots for all the tests that only ask."""
    with short_folder() as folder, running(folder, tiny_gguf.make(folder / "m.gguf"), parallel=2) as child:
        yield child


@pytest.fixture
def single() -> Iterator[LlamaChild]:
    """One slot, a millisecond for a token: whoever waits, waits for the one before."""
    with short_folder() as folder, running(folder, tiny_gguf.make(folder / "m.gguf", layers=32)) as child:
        yield child


def frames(content: bytes) -> list[str]:
    """The data of each event of a stream."""
    return [event.removeprefix("data: ") for event in content.decode().split("\n\n") if event]


def test_ready_tells_what_is_served(child: LlamaChild) -> None:
    """Progress from 0 to 1 before it, then the facts."""
    fractions = [event["fraction"] for event in child.events[:-1]]
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    ready = child.events[-1]
    assert (ready["context_tokens"], ready["parallel"], ready["vision"]) == (8192, 2, False)
    assert 0 < ready["load_s"] < START_S
    assert child.socket.stat().st_mode & 0o077 == 0, "the socket is for this user alone"


def test_stream_ends_with_usage_and_done(child: LlamaChild) -> None:
    """Chunks, one finish reason, a usage chunk without choices, [DONE]."""
    status, content = child.call({**HI, "stream": True, "stream_options": {"include_usage": True}})
    assert status == 200
    *chunks, done = frames(content)
    assert done == "[DONE]"
    *parts, usage = [json.loads(chunk) for chunk in chunks]
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}
    assert {part["model"] for part in parts} == {"tiny"}
    reasons = [part["choices"][0]["finish_reason"] for part in parts]
    assert reasons[:-1] == [None] * (len(reasons) - 1)
    assert reasons[-1] in {"length", "stop"}
    assert usage["choices"] == []
    assert 1 <= usage["usage"]["completion_tokens"] <= 8
    assert usage["usage"]["prompt_tokens"] > 0


def test_whole_reply_counts_what_the_template_counts(child: LlamaChild) -> None:
    """The exact prompt count is to be had before the call."""
    status, counted = child.call({"messages": HI["messages"]}, CHAT + "/input_tokens")
    assert status == 200
    reply = child.whole(HI)
    assert reply["usage"]["prompt_tokens"] == json.loads(counted)["input_tokens"]
    assert reply["choices"][0]["message"]["role"] == "assistant"
    assert reply["choices"][0]["message"]["content"] == child.whole(HI)["choices"][0]["message"]["content"]


def test_json_schema_is_obeyed(child: LlamaChild) -> None:
    """Noise within the grammar is still valid."""
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
        "required": ["ok", "kind"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
    for seed in range(5):
        reply = child.whole({**HI, "seed": seed, "max_tokens": 400, "response_format": form})
        answer = json.loads(reply["choices"][0]["message"]["content"])
        assert isinstance(answer["ok"], bool)
        assert answer["kind"] in {"a", "b"}


def test_tools_and_bad_requests_do_not_crash_it(child: LlamaChild) -> None:
    """Each is answered, 200 or an error in OpenAI's shape, and the child lives on."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    changes: list[dict[str, Any]] = [
        {"tools": [tool]},
        {"tools": [tool], "tool_choice": "required"},
        {"tools": [{"type": "nope"}]},
        {"messages": []},
        {"messages": None},
        {"messages": [{"role": "user", "content": [image]}]},
        {"messages": [{"role": "user", "content": "x" * 9000}]},
        {"temperature": "hot"},
        {"n": 9},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "wat"}}}},
    ]
    for change in changes:
        status, content = child.call({**HI, **change})
        if status != 200:
            error = json.loads(content)["error"]
            assert error["code"] == status, change
            assert error["message"], change
    assert child.process.poll() is None
    assert child.whole(HI)["choices"]


def test_too_long_a_prompt_is_told_with_its_numbers(child: LlamaChild) -> None:
    """Also for a stream: before its first byte, with a status."""
    for stream in (False, True):
        status, content = child.call({**HI, "stream": stream, "messages": [{"role": "user", "content": "x" * 9000}]})
        error = json.loads(content)["error"]
        assert (status, error["type"], error["n_ctx"]) == (400, "exceed_context_size_error", 8192)
        assert error["n_prompt_tokens"] > 9000


def test_what_is_not_needed_is_closed(child: LlamaChild) -> None:
    """No pages, slots, metrics, tools; pictures without a projector are refused, not fetched."""
    for path in ("/", "/slots", "/metrics", "/tools", "/cors-proxy"):
        connection = UnixConnection(child.socket)
        connection.request("GET", path)
        assert connection.getresponse().status in {403, 404, 501}, path
        connection.close()


def _freed_after(single: LlamaChild, body: dict[str, Any], *, after_s: float, read: bool) -> float:
    """Seconds from closing a running request to the answer of the next one."""
    running = single.send(body)
    if read:
        assert b"200 OK" in running.recv(65536)
    time.sleep(after_s)
    running.close()
    began = time.monotonic()
    single.whole({**HI, "max_tokens": 1})
    return time.monotonic() - began


def test_a_closed_stream_frees_its_slot(single: LlamaChild) -> None:
    """Mid-generation; the only slot, so the next request can only be answered when it is free."""
    body = {**ENDLESS, "stream": True}
    taken = [_freed_after(single, body, after_s=0.05, read=True) for _ in range(7)]
    assert statistics.median(taken) < FREED_S, taken


def test_a_stream_closed_during_its_prompt_frees_its_slot(single: LlamaChild) -> None:
    """With `return_progress` there is a write after every batch, which notices that nobody listens."""
    taken = []
    for attempt in range(7):
        prompt = f"{attempt}" + "z q" * 2500
        body = {**ENDLESS, "stream": True, "return_progress": True}
        body["messages"] = [{"role": "user", "content": prompt}]
        taken.append(_freed_after(single, body, after_s=0.0, read=True))
    assert statistics.median(taken) < 2 * FREED_S, taken


def test_a_cancelled_waiting_request_is_not_computed(single: LlamaChild) -> None:
    """It waits for the slot, is closed there, and does not hold up those behind it."""
    running = single.send({**ENDLESS, "stream": True})
    running.recv(65536)
    waiting = single.send({**ENDLESS, "stream": True})
    time.sleep(0.05)
    waiting.close()
    running.close()
    began = time.monotonic()
    single.whole({**HI, "max_tokens": 1})
    assert time.monotonic() - began < 20 * FREED_S


def test_more_callers_than_slots_are_all_answered(child: LlamaChild) -> None:
    """In order of arrival, none refused."""
    callers = [child.send({**HI, "stream": True}) for _ in range(12)]
    for caller in callers:
        content = b""
        while b"[DONE]" not in content:
            received = caller.recv(65536)
            assert received, content
            content += received
        caller.close()


@pytest.mark.skipif(not STARTER.exists(), reason=f"{STARTER} is not there: the starter chat is NOT TESTED")
def test_the_starter_answers_the_question_of_the_seed_document() -> None:
    """The model that ships with us, through this child."""
    question = {"role": "user", "content": "What's the largest U.S. state by area?"}
    with short_folder() as folder, running(folder, STARTER.absolute()) as child:
        reply = child.whole({"messages": [question], "temperature": 0, "max_tokens": 100})
    assert "Alaska" in reply["choices"][0]["message"]["content"]
