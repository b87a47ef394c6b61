"""`Idempotency-Key` over real HTTP: a call that is sent twice runs once, is charged once and answers the same."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from openai import AsyncOpenAI

from tests.api.conftest import Serving
from tests.support.clients import BODY, OPENAI, SEED, Caller, Reply, shows, until
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: 17 tokens read and 9 written, by the seed's prices of gpt-4o-mini.
COST = 17 * 150 + 9 * 600
#: Headers that tell of the call at hand, not of the reply.
OF_THE_CALL = {"x-request-id", "date", "x-minitoolai-replayed", "x-minitoolai-balance", "content-length"}


async def send(caller: Caller, key: str, path: str = OPENAI, **fields: Any) -> Reply:
    """Call with an Idempotency-Key."""
    return await caller.send(path, {**BODY, **fields}, headers={"idempotency-key": key})


async def charged(gateway: LocalGateway, caller: Caller, calls: int) -> None:
    """Nothing is held, and so many calls were charged."""
    await gateway.settle()
    assert await gateway.books.balance(caller) == 5 * 10**9 - calls * COST
    assert len([record for record in await gateway.books.records(caller) if record["cost"]]) == calls
    assert await gateway.books.held() == 0


def same_headers(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two replies' headers say the same but for those of the call itself and of the key's minute."""

    def told(headers: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name not in OF_THE_CALL and "ratelimit" not in name}

    return told(one) == told(other)


@pytest.mark.parametrize("path", [OPENAI, SEED])
async def test_a_whole_reply_is_given_again(gateway: LocalGateway, caller: Caller, upstream: Upstream, path: str) -> None:
    """Byte for byte, charged once; the header says that it is old."""
    key = str(uuid4())
    first = await send(caller, key, path, stream=False)
    for _ in range(3):
        again = await send(caller, key, path, stream=False)
        assert (again.status, again.json) == (200, first.json)
        assert same_headers(first.headers, again.headers)
        assert again.headers["x-minitoolai-replayed"] == "true"
        assert "x-minitoolai-balance" not in again.headers
    assert "x-minitoolai-replayed" not in first.headers
    assert len(upstream.asked) == 1
    await charged(gateway, caller, 1)


@pytest.mark.parametrize("path", [OPENAI, SEED])
async def test_a_stream_is_given_again_as_a_stream(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, path: str
) -> None:
    """In one delta, with the same end; the seed's surface with all its fields."""
    key = str(uuid4())
    first = await send(caller, key, path, stream=True, stream_options={"include_usage": True})
    again = await send(caller, key, path, stream=True, stream_options={"include_usage": True})
    assert again.content == first.content
    assert again.usage == first.usage
    assert again.done
    assert same_headers(first.headers, again.headers)
    assert again.headers["x-minitoolai-replayed"] == "true"
    said, ended, last = again.chunks
    assert said["choices"][0]["delta"]["content"] == first.content
    assert ended["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert {chunk["id"] for chunk in first.chunks} == {chunk["id"] for chunk in again.chunks}
    if path == SEED:
        assert said.keys() == ended.keys() == last.keys() == first.chunks[0].keys()
    assert len(upstream.asked) == 1
    await charged(gateway, caller, 1)


async def test_the_official_client_reads_a_stream_given_again(caller: Caller, upstream: Upstream) -> None:
    """Its helper makes the same message of both; tools, log-probabilities and choices included."""
    token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    called = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}
    frames = [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"role": "assistant", "content": None, "refusal": None}, index=1),
        b"data: " + json.dumps(_with_logprobs(chunk({"content": "Alas"}), token)).encode() + b"\n\n",
        chunk({"tool_calls": [called]}, index=1),
        chunk({"content": "ka"}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}, index=1),
        chunk({}, finish_reason="stop"),
        chunk({}, finish_reason="tool_calls", index=1),
        b"data: [DONE]\n\n",
    ]

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        return await upstream.stream(request, asked, frames)

    upstream.handler = answer
    client = AsyncOpenAI(
        api_key=caller.key, base_url=caller.base + "/v1", max_retries=0,
        default_headers={"idempotency-key": str(uuid4())},
    )  # fmt: skip
    found = []
    for _ in range(2):
        question: Any = {"messages": BODY["messages"], "model": BODY["model"], "n": 2, "logprobs": True}
        async with client.chat.completions.stream(**question) as stream:
            found.append((await stream.get_final_completion()).to_dict())
    assert found[0]["choices"] == found[1]["choices"]
    assert found[0] == found[1]
    assert len(upstream.asked) == 1
    await client.close()


def _with_logprobs(frame: bytes, token: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(frame.removeprefix(b"data: "))
    body["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
    return body


async def test_another_body_is_422(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Another field, the stream flag, another path: each is another call."""
    key = str(uuid4())
    assert (await send(caller, key, stream=False)).status == 200
    for path, fields in (
        (OPENAI, {"temperature": 0.5}),
        (OPENAI, {"stream": True}),
        (OPENAI, {}),
        (SEED, {"stream": False}),
    ):
        reply = await send(caller, key, path, **fields)
        shows(reply, 422, "idempotency_mismatch", "invalid_request_error", "new key", param="idempotency-key")
    assert len(upstream.asked) == 1
    await charged(gateway, caller, 1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_is_running_is_409(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, *, streamed: bool
) -> None:
    """Another body is told at once that it is another; when the call has ended, its reply is given."""
    upstream.pause_s = 0.3 if not streamed else 0.05
    key = str(uuid4())
    running = asyncio.create_task(send(caller, key, stream=streamed))
    await until(lambda: upstream.asked, "the call")
    early = await send(caller, key, stream=streamed)
    shows(early, 409, "idempotency_in_progress", "invalid_request_error", "still running", param="idempotency-key")
    assert (await send(caller, key, stream=streamed, seed=5)).status == 422
    first = await running
    await gateway.settle()
    again = await send(caller, key, stream=streamed)
    assert again.content == first.content
    await charged(gateway, caller, 1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_failed_frees_its_key(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, *, streamed: bool
) -> None:
    """Also one that broke off, and one whose caller left: what it cost was charged, and the next call runs."""
    key = str(uuid4())

    async def fail(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": {}}, status=500)

    upstream.handler = fail
    assert (await send(caller, key, stream=streamed)).status == 502
    upstream.handler = upstream.answer
    upstream.pause_s = 0.2
    with pytest.raises(TimeoutError):
        await caller.send(OPENAI, {**BODY, "stream": streamed}, headers={"idempotency-key": key}, timeout_s=0.1)
    await until(lambda: len(upstream.asked) > 1 and upstream.asked[1].left.is_set(), "the upstream was left")
    await gateway.settle()
    upstream.pause_s = 0.0
    reply = await send(caller, key, stream=streamed)
    assert reply.status == 200
    assert "x-minitoolai-replayed" not in reply.headers
    assert (await send(caller, key, stream=streamed)).headers["x-minitoolai-replayed"] == "true"
    await gateway.settle()
    full = [record for record in await gateway.books.records(caller) if record["outcome"] == 0]
    assert [record["cost"] for record in full] == [COST]


async def test_what_is_refused_takes_no_key(gateway: LocalGateway, upstream: Upstream) -> None:
    """A bad body, a key that may spend no more: the Idempotency-Key is free for the right call."""
    poor, key = await gateway.caller(limit_usd="0.00001"), str(uuid4())
    assert (await send(poor, key, temperature=9)).status == 400
    assert (await send(poor, key, max_completion_tokens=1000)).status == 402
    rich = await gateway.books.caller(gateway.base, account=poor.account)
    assert (await send(rich, key)).status == 200
    await charged(gateway, rich, 1)


async def test_keys_are_the_accounts(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Another account may use the same; another key of the same account finds the reply."""
    key, other = str(uuid4()), await gateway.caller()
    assert (await send(caller, key)).status == 200
    theirs = await send(other, key)
    assert "x-minitoolai-replayed" not in theirs.headers
    sister = await gateway.books.caller(gateway.base, account=caller.account)
    assert (await send(sister, key)).headers["x-minitoolai-replayed"] == "true"
    assert len(upstream.asked) == 2
    await charged(gateway, caller, 1)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "caf\u00e9\x80", "caf\u00e9"])
async def test_keys_that_are_none(caller: Caller, upstream: Upstream, key: str) -> None:
    """1 to 255 printable characters."""
    reply = await caller.send(OPENAI, BODY, headers={"idempotency-key": key})
    shows(reply, 400, "invalid_value", "invalid_request_error", "1 to 255 printable", param="idempotency-key")
    assert upstream.asked == []


async def test_the_longest_key(caller: Caller) -> None:
    """255 characters are one."""
    assert (await send(caller, "x" * 255)).status == 200


async def test_two_gateways_and_fifty_calls_with_one_key(
    serving: Serving, gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """Exactly one runs; the others are told that it runs, or get its reply."""
    upstream.pause_s = 0.05
    async with serving() as other:
        twin = Caller(other.base, caller.key, caller.account, caller.account_id, caller.key_id)
        for round_ in range(3):
            key = str(uuid4())
            replies = await asyncio.gather(*(send((caller, twin)[i % 2], key) for i in range(50)))
            statuses = Counter(reply.status for reply in replies)
            assert set(statuses) <= {200, 409}
            assert sum("x-minitoolai-replayed" not in reply.headers for reply in replies if reply.status == 200) == 1
            assert len(upstream.asked) == round_ + 1
            await other.settle()
            assert {(await send(who, key)).content for who in (caller, twin)} == {"".join(upstream.words)}
        await charged(gateway, caller, 3)


async def test_what_is_kept_is_encrypted(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Neither prompt nor reply nor key stands anywhere in the database."""
    canary, key = "xylophone-canary-question", f"canary-key-{uuid4()}"
    upstream.words = ["xylo", "phone-canary", "-answer"]
    for streamed in (False, True):
        reply = await send(caller, f"{key}{streamed}", stream=streamed, messages=[{"role": "user", "content": canary}])
        assert reply.content == "xylophone-canary-answer"
    await gateway.settle()
    tables = await gateway.books.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    for table in tables:
        for row in await gateway.books.fetch(f'SELECT * FROM "{table["relname"]}"'):
            shown = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
            assert b"canary" not in shown, table
    kept = await gateway.books.fetch(
        "SELECT reply FROM replays WHERE account_id = $1 AND reply IS NOT NULL", caller.account_id
    )
    assert len(kept) == 2


async def test_choices_without_usage_are_kept_as_they_were_counted(
    gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """An engine that reports nothing: the gateway's count and cost are in the reply that is given again."""
    frames = [chunk({"role": "assistant", "content": ""}), chunk({"content": "hi"}), chunk({}, finish_reason="stop"),
              b"data: [DONE]\n\n"]  # fmt: skip

    async def answer(request: web.Request, asked: Asked) -> web.StreamResponse:
        return await upstream.stream(request, asked, frames)

    upstream.handler = answer
    key = str(uuid4())
    first = await send(caller, key, stream=True, stream_options={"include_usage": True})
    again = await send(caller, key, stream=True, stream_options={"include_usage": True})
    assert first.usage == again.usage
    assert first.usage["completion_tokens"] == 1
    await gateway.settle()
    (record,) = await gateway.books.records(caller)
    assert record["cost"] == first.cost_nusd
