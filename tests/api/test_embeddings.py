"""`POST /v1/embeddings` over real HTTP: what comes back, and what is refused before it costs anything."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.api.embedding_calls import BODY, COST, MODELS, PATH, SMALL, answering, charged, embed
from tests.support.clients import Caller, shows
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import Asked, Upstream, embeddings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that serves two embedding models beside those that chat."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


async def test_texts_become_vectors_and_cost_what_the_engine_counts(
    gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """OpenAI's body with the cost in it; headers as on every paid reply; the record has all of it."""
    reply = await embed(caller, user="me", colour="red", model="small")
    assert reply.status == 200, reply.text
    assert reply.json == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.25, -1.5, 0]},
            {"object": "embedding", "index": 1, "embedding": [0.25, -1.5, 1]},
        ],
        "model": SMALL,
        "usage": {"prompt_tokens": 17, "total_tokens": 17, "cost": COST / 10**9},
    }
    assert reply.headers["x-minitoolai-cost"] == "0.00000034"
    assert reply.headers["x-minitoolai-balance"] == "4.99999966"
    assert reply.headers["x-minitoolai-ignored"] == "colour"
    assert int(reply.headers["x-ratelimit-remaining-tokens"]) > 0
    (asked,) = upstream.asked
    assert asked.body == {"model": SMALL, "input": BODY["input"], "user": "me"}
    (record,) = await charged(gateway, caller, COST)
    assert (record["model"], record["engine"], record["prompt_tokens"], record["completion_tokens"]) == (SMALL, "up", 17, 0)


@pytest.mark.parametrize(
    ("given", "vectors"),
    [("one", 1), (["one"], 1), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a"] * 2048, 2048)],
    ids=["text", "list", "tokens", "lists of tokens", "as many as can be"],
)
async def test_every_shape_of_input(caller: Caller, upstream: Upstream, given: Any, vectors: int) -> None:
    """A text, tokens, lists of either; each goes to the engine as it came."""
    reply = await embed(caller, input=given, dimensions=3.0)
    assert reply.status == 200, reply.text
    assert len(reply.json["data"]) == vectors
    assert (upstream.asked[0].body["input"], upstream.asked[0].body["dimensions"]) == (given, 3)


@pytest.mark.parametrize("engine_speaks", ["float", "base64"])
async def test_base64_whatever_the_engine_speaks(caller: Caller, upstream: Upstream, engine_speaks: str) -> None:
    """32-bit numbers, little-endian; also from an engine that gives lists."""

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response(embeddings({**asked.body, "encoding_format": engine_speaks}, 17))

    upstream.handler = answer
    coded = await embed(caller, encoding_format="base64")
    assert upstream.asked[0].body["encoding_format"] == "base64"
    assert struct.unpack("<3f", base64.b64decode(coded.json["data"][1]["embedding"])) == (0.25, -1.5, 1)
    plain = await embed(caller, encoding_format="float")
    assert plain.json["data"][1]["embedding"] == [0.25, -1.5, 1]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"), ({"input": []}, "input"), ({"input": None}, "input"), ({"input": 5}, "input"),
        ({"input": {"a": 1}}, "input"), ({"input": ["a"] * 2049}, "input"), ({"input": ["a", "b", "c", ""]}, "input[3]"),
        ({"input": ["a", 1]}, "input[1]"), ({"input": ["a", [1]]}, "input[1]"), ({"input": [[1], []]}, "input[1]"),
        ({"input": [[1], "a"]}, "input[1]"), ({"input": [None]}, "input[0]"), ({"input": [{}]}, "input[0]"),
        ({"input": [1, -1]}, "input[1]"), ({"input": [True]}, "input[0]"), ({"input": [1.5]}, "input[0]"),
        ({"input": [[1, 2**31]]}, "input[0][1]"), ({"input": [1, "a"]}, "input[1]"),
        ({"model": None}, "model"), ({"model": ""}, "model"), ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"), ({"dimensions": "8"}, "dimensions"), ({"dimensions": 1.5}, "dimensions"),
        ({"user": 5}, "user"), ({"model": "gpt-4o-mini"}, "model"),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else None,
)  # fmt: skip
async def test_each_field_is_checked_by_name(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, fields: dict[str, Any], param: str
) -> None:
    """400 with the path; nothing is asked, held or charged."""
    shows(await embed(caller, **fields), 400, "invalid_value", "invalid_request_error", f"'{param}'", param=param)
    assert upstream.asked == []
    await charged(gateway, caller, 0, records=0)


async def test_a_body_without_input(caller: Caller) -> None:
    """Required and missing; a body that is no object is told as everywhere."""
    reply = await caller.send(PATH, {"model": SMALL})
    shows(reply, 400, "invalid_value", "invalid_request_error", "required", param="input")
    shows(await caller.send(PATH, b"[1]"), 400, "invalid_json", "invalid_request_error")
    deep = b'{"model": "text-embedding-3-small", "input": ' + b"[" * 300 + b"]" * 300 + b"}"
    shows(await caller.send(PATH, deep), 400, "invalid_json", "invalid_request_error")


async def test_models_are_of_one_kind(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """One that embeds does not chat; one without an engine answers 503; the list shows those that are served."""
    chat = await caller.openai(model=SMALL)
    shows(chat, 400, "invalid_value", "invalid_request_error", "/v1/embeddings", param="model")
    shows(await embed(caller, model="gpt-9"), 404, "model_not_found", "invalid_request_error", param="model")
    large = await embed(caller, model="text-embedding-3-large")
    shows(large, 503, "service_unavailable", "server_error", "No engine", param="model")
    narrow = await gateway.caller(models=["gpt-4o"])
    shows(await embed(narrow), 403, "permission_denied", "permission_error", param="model")
    listed = {model["id"]: model for model in (await caller.get("/v1/models")).json["data"]}
    assert {SMALL, "theirs"} < listed.keys()
    assert "text-embedding-3-large" not in listed
    assert (listed[SMALL]["context_tokens"], listed[SMALL]["type"]) == (8192, "embedding")
    assert (await caller.get("/v1/models/small")).json["id"] == SMALL
    assert upstream.asked == []


async def test_a_text_longer_than_the_model_reads(caller: Caller, upstream: Upstream) -> None:
    """Counted exactly for OpenAI's models; the error names the text and both counts; tokens are counted for all."""
    fits, long = "word " * 8191, "word " * 8300
    assert (await embed(caller, input=["a", fits])).status == 200
    reply = await embed(caller, input=["a", long])
    shows(reply, 400, "context_length_exceeded", "invalid_request_error", "8301 tokens", "8192", param="input[1]")
    reply = await embed(caller, model="theirs", input=[1] * 9)
    shows(reply, 400, "context_length_exceeded", "invalid_request_error", "9 tokens", param="input")
    assert len(upstream.asked) == 1


async def test_the_engine_judges_texts_that_cannot_be_counted_here(caller: Caller, upstream: Upstream) -> None:
    """Its refusal is ours, in our words."""
    assert (await embed(caller, model="theirs", input="many words, few tokens perhaps")).status == 200
    upstream.handler = answering(400, {"error": {"message": "canary", "code": "context_length_exceeded"}})
    reply = await embed(caller, model="theirs", input="many words, few tokens perhaps")
    shows(reply, 400, "context_length_exceeded", "invalid_request_error", "The text at 'input'", param="input")
    upstream.handler = answering(400, {"error": {"message": "canary", "param": "dimensions"}})
    reply = await embed(caller, dimensions=9)
    shows(reply, 400, "invalid_value", "invalid_request_error", "dimensions", param="dimensions")
