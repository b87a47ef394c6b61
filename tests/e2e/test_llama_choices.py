"""What callers may ask of a local model beside text: several choices, a form, log-probabilities, tools.

The tiny model's answers are noise, so only their shape says anything; the starter always says the likeliest.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai.lib.streaming.chat import ChatCompletionStreamState

from minitoolai.core.money import charge_nusd
from tests.support import tiny_gguf
from tests.support.books import Books
from tests.support.clients import OPENAI, QUESTION, Caller, Reply, shows
from tests.support.databases import PostgresForTests
from tests.support.leaving import read_frames
from tests.support.servers import ProductServer, product_server

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: local models are NOT TESTED")
pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
#: A dollar a million tokens read, two a million written.
CONFIG = """
sandbox = "on"
[engines.noise]
kind = "llama"
model_path = "{path}"
parallel = 2
[models.noise]
engine = "noise"
input_usd_per_1m = "1"
output_usd_per_1m = "2"
context_tokens = 8192
max_completion_tokens = 4096
"""


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory, embedded_server: PostgresForTests
) -> Iterator[tuple[ProductServer, Books]]:
    """A server with the tiny model and the starter."""
    folder = tmp_path_factory.mktemp("choices")
    model = tiny_gguf.make(folder / "noise.gguf", template=tiny_gguf.TOOL_TEMPLATE)
    with embedded_server.database() as url, product_server(folder, url) as server:
        server.configure(CONFIG.format(path=model))
        server.start()
        for engine in ("noise", "starter"):
            server.wait_engine(engine)
        yield server, Books(url)


@pytest_asyncio.fixture(loop_scope="module")
async def caller(product: tuple[ProductServer, Books]) -> Caller:
    """A program with 5 USD."""
    server, books = product
    return await books.caller(server.base)


async def noise(caller: Caller, **fields: Any) -> Reply:
    """Ask the tiny model; the reply is right."""
    body = {"model": "noise", "messages": [{"role": "user", "content": "hello world"}], "max_tokens": 12, **fields}
    reply = await caller.send(OPENAI, body)
    assert reply.status == 200, reply.text
    return reply


def texts(reply: Reply) -> list[str]:
    """What each choice of a reply says, in order."""
    if "event-stream" not in reply.headers["content-type"]:
        return [choice["message"]["content"] for choice in reply.json["choices"]]
    state = ChatCompletionStreamState()
    for chunk in reply.chunks:
        state.handle_chunk(openai.types.chat.ChatCompletionChunk.model_validate(chunk))
    completion = state.current_completion_snapshot
    return [choice.message.content or "" for choice in sorted(completion.choices, key=lambda choice: choice.index)]


async def paid(books: Books, caller: Caller, usage: dict[str, Any]) -> None:
    """The last call was charged by its usage, and nothing is held."""
    record = (await books.records(caller))[-1]
    assert (record["prompt_tokens"], record["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert record["cost"] == charge_nusd(usage["prompt_tokens"] * 10**9 + usage["completion_tokens"] * 2 * 10**9)
    assert not record["counted_by_gateway"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_several_choices(product: tuple[ProductServer, Books], caller: Caller, *, streamed: bool) -> None:
    """As many as there are, also more than the child has slots; each differs, the prompt is paid for once."""
    _, books = product
    one = await noise(caller, seed=7)
    for count in (2, 8):
        reply = await noise(caller, n=count, seed=7, stream=streamed, stream_options={"include_usage": True})
        said = texts(reply)
        assert len(said) == count
        assert len(set(said)) > 1
        assert reply.usage["prompt_tokens"] == one.usage["prompt_tokens"]
        assert one.usage["completion_tokens"] <= reply.usage["completion_tokens"] <= 12 * count
        await paid(books, caller, reply.usage)
        again = await noise(caller, n=count, seed=7, stream=not streamed, stream_options={"include_usage": True})
        assert texts(again) == said, "the same seed, the same choices"
    assert texts(one)[0] == said[0]
    assert await books.held() == 0


async def test_the_official_client_reads_choices(product: tuple[ProductServer, Books], caller: Caller) -> None:
    """Of the starter, whose choices are all its likeliest answer."""
    client = openai.AsyncOpenAI(api_key=caller.key, base_url=caller.base + "/v1", max_retries=0)
    question: Any = [{"role": "user", "content": QUESTION}]
    whole = await client.chat.completions.create(model="gpt-4o-mini", messages=question, n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert all("Alaska" in (choice.message.content or "") for choice in whole.choices)
    state = ChatCompletionStreamState()
    async for chunk in await client.chat.completions.create(model="gpt-4o-mini", messages=question, n=3, stream=True):
        state.handle_chunk(chunk)
    found = [choice.message.content for choice in state.get_final_completion().choices]
    assert found == [choice.message.content for choice in whole.choices]
    await client.close()


async def test_nine_choices_are_too_many(caller: Caller) -> None:
    """Refused before anything is held."""
    reply = await caller.send(OPENAI, {"model": "noise", "messages": [{"role": "user", "content": "x"}], "n": 9})
    shows(reply, 400, "invalid_value", "invalid_request_error", param="n")


async def test_a_caller_that_leaves_stops_every_choice(product: tuple[ProductServer, Books], caller: Caller) -> None:
    """It pays for the tokens of all of them until then, and the slots are free at once."""
    server, books = product
    body = {"model": "noise", "messages": [{"role": "user", "content": "hello"}], "n": 4, "stream": True,
            "max_tokens": 1500, "logit_bias": {"267": -100}, "seed": 3}  # fmt: skip
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(caller.request(OPENAI, body))
    await read_frames(reader, 12)
    writer.transport.abort()
    record = await books.record(caller)
    assert record["outcome"] == 3
    assert 0 < record["completion_tokens"] < 4 * 1500
    assert record["cost"] == charge_nusd(record["prompt_tokens"] * 10**9 + record["completion_tokens"] * 2 * 10**9)
    async with asyncio.timeout(5):
        await noise(caller)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_form_is_kept_to(caller: Caller, *, streamed: bool) -> None:
    """Noise within a schema fits the schema; `json_object` is an object."""
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
        "required": ["ok", "kind"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    for answer in texts(await noise(caller, n=2, stream=streamed, response_format=form, max_tokens=400, seed=1)):
        said = json.loads(answer)
        assert said.keys() == {"ok", "kind"}
        assert isinstance(said["ok"], bool)
        assert said["kind"] in {"a", "b"}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUESTION}], "stream": streamed}
    reply = await caller.send(OPENAI, {**body, "response_format": {"type": "json_object"}})
    assert isinstance(json.loads(texts(reply)[0]), dict)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("others", [None, 0, 3])
async def test_log_probabilities(caller: Caller, *, streamed: bool, others: int | None) -> None:
    """In OpenAI's shape: one for each token, as many others beside it as were asked for."""
    more = {} if others is None else {"top_logprobs": others}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 12}
    reply = await caller.send(OPENAI, {**body, "logprobs": True, "stream": streamed, **more})
    bodies = reply.chunks if streamed else [reply.json]
    found = [choice["logprobs"] for body in bodies for choice in body["choices"] if choice.get("logprobs")]
    tokens = [token for told in found for token in told["content"]]
    assert len(tokens) == 12
    assert all(told["refusal"] is None for told in found)
    for token in tokens:
        assert token.keys() == {"token", "bytes", "logprob", "top_logprobs"}
        assert token["logprob"] <= 0
        assert [other.keys() for other in token["top_logprobs"]] == [{"token", "bytes", "logprob"}] * (others or 0)
    if not streamed:
        openai.types.chat.ChatCompletion.model_validate(reply.json)


async def test_other_tokens_without_log_probabilities(caller: Caller) -> None:
    """The field at fault is named."""
    body = {"model": "noise", "messages": [{"role": "user", "content": "x"}], "top_logprobs": 2}
    reply = await caller.send(OPENAI, body)
    shows(reply, 400, "invalid_value", "invalid_request_error", '"logprobs": true', param="top_logprobs")


async def test_tools_reach_the_model(product: tuple[ProductServer, Books], caller: Caller) -> None:
    """Its template is told of them, and of what they found: the prompt is longer by that."""
    _, books = product
    without = await noise(caller)
    offered = await noise(caller, tools=[TOOL], tool_choice="auto")
    assert offered.usage["prompt_tokens"] > without.usage["prompt_tokens"] + 100
    await paid(books, caller, offered.usage)
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Nome"}'}}
    turns = [
        {"role": "user", "content": "weather in Nome?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "snow"},
    ]
    for choice in ("auto", "none", "required", {"type": "function", "function": {"name": "weather"}}):
        await noise(caller, tools=[TOOL], messages=turns, tool_choice=choice)
    starter = await caller.send(OPENAI, {"model": "gpt-4o-mini", "messages": turns, "tools": [TOOL]})
    assert starter.status == 200, starter.text


async def test_the_child_and_the_books_are_sound_afterwards(product: tuple[ProductServer, Books]) -> None:
    """Nothing is held, and the ledger is clean."""
    _, books = product
    assert await books.held() == 0
    assert await books.problems() == ()
