"""What speech costs, however it ends, and what its caller sees of that."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from minitoolai.core.errors import Draining, InvalidValue, NoEngine, RateLimited, UpstreamError, UpstreamTimeout
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services import calls
from tests.api.embedding_calls import charged
from tests.api.speech_calls import COST, FIRST, OPENAIS, OURS, SOUND, STEPS, TEXT, Speaking, refuses, say
from tests.support.clients import Caller, Reply, until
from tests.support.local_gateway import LocalGateway
from tests.support.speaking import FakeSpeaker, SpeechStep, Spoken
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH = pytest.mark.parametrize("path", [OURS, OPENAIS])
BROKEN = UpstreamError(model="tts-1")
UNPAID = "insufficient_quota"


@pytest_asyncio.fixture(loop_scope="module")
async def speaking(gateway: LocalGateway, upstream: Upstream) -> AsyncIterator[Speaking]:
    """The gateway, which speaks by an engine in memory."""
    found = Speaking(gateway)
    found.serve()
    yield found


async def hang() -> bytes:
    """A step that never ends."""
    await asyncio.sleep(60)
    return b""


@BOTH
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (BROKEN, 502, "upstream_error"), (UpstreamTimeout(model="tts-1"), 504, "upstream_timeout"),
        (RateLimited(model="tts-1", retry_after_s=7), 429, "rate_limit_exceeded"),
        (NoEngine(param="model", model="tts-1", retry_after_s=5), 503, "service_unavailable"),
        (InvalidValue(param="voice", why="there is none."), 400, "invalid_value"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
async def test_an_engine_that_fails_at_once_costs_nothing(
    speaking: Speaking, caller: Caller, path: str, failure: Exception, status: int, code: str
) -> None:
    """The error table's status, as JSON; before its first byte or in place of it."""
    speaking.engine.before_sound = failure
    reply = await say(caller, path)
    assert (reply.status, reply.error["code"], reply.headers["content-type"]) == (status, code, "application/json")
    assert ("retry-after" in reply.headers) == (status in (429, 503))
    speaking.engine.before_sound, speaking.engine.steps = b"", (failure,)
    assert (await say(caller, path, stream_format="sse")).status == status
    await charged(speaking.gateway, caller, 0, records=2)


@BOTH
async def test_a_sound_that_breaks_off_never_looks_complete(speaking: Speaking, caller: Caller, path: str) -> None:
    """The connection is cut; whole sentences are charged, and the next call works."""
    speaking.engine.steps = (b"a", Spoken(7), b"b", BROKEN)
    reply = await say(caller, path)
    assert (reply.status, reply.whole, reply.body) == (200, False, b"ab")
    (record,) = await charged(speaking.gateway, caller, FIRST)
    assert (record["outcome"], record["characters"]) == (2, 7)
    speaking.engine.steps = STEPS
    assert (await say(caller, path)).body == SOUND


async def test_a_sound_that_breaks_off_before_its_first_sentence(speaking: Speaking, caller: Caller) -> None:
    """Nothing is whole, and nothing is charged; nor of an engine that does not say how far it is."""
    for says in (True, False):
        speaking.engine.says, speaking.engine.steps = says, (b"a", BROKEN)
        assert not (await say(caller)).whole
    await charged(speaking.gateway, caller, 0, records=2)


async def test_events_tell_why_they_end(speaking: Speaking, caller: Caller) -> None:
    """An error event in place of the last one, and a proper end of the connection."""
    speaking.engine.steps = (b"a", Spoken(7), BROKEN)
    reply = await say(caller, stream_format="sse")
    assert reply.whole
    first, last = reply.chunks
    assert b64decode(first["audio"]) == b"a"
    assert last.keys() == {"error"}
    assert last["error"]["code"] == "upstream_error"
    await charged(speaking.gateway, caller, FIRST)


@BOTH
async def test_the_next_engine_stands_in(speaking: Speaking, caller: Caller, path: str) -> None:
    """As long as no byte has reached the caller: one hold, one charge, by whoever spoke."""
    second = FakeSpeaker(*STEPS, name="second")
    speaking.engine.before_sound = BROKEN
    speaking.serve(second)
    assert (await say(caller, path)).body == SOUND
    (record,) = await charged(speaking.gateway, caller, COST)
    assert record["engine"] == "second"
    speaking.engine.before_sound, speaking.engine.steps = b"", (b"a", BROKEN)
    assert not (await say(caller, path)).whole
    assert len(second.asked) == 1


@pytest.mark.parametrize(
    ("steps", "says", "cost"),
    [
        ((), True, 0), ((b"a",), True, 0), ((b"a", Spoken(7), b"b"), True, FIRST), ((b"a",), False, COST), ((), False, 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reset", [True, False])
async def test_a_caller_that_leaves(
    speaking: Speaking, caller: Caller, steps: tuple[bytes | Spoken, ...], cost: int, *, says: bool, reset: bool
) -> None:
    """The sentences fully spoken; of an engine that does not say, all once it spoke; and the engine is stopped."""
    speaking.engine.says, speaking.engine.steps = says, (*steps, hang)
    reader, writer = await asyncio.open_connection("127.0.0.1", speaking.gateway.port)
    writer.write(caller.request(OPENAIS, {"model": "tts-1", "input": TEXT}))
    wanted = b"".join(step for step in steps if isinstance(step, bytes))[-1:]
    if wanted:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        await asyncio.wait_for(reader.readuntil(wanted), 20)
    await until(lambda: speaking.engine.replies and not speaking.engine.replies[-1].steps, "the engine has said so much")
    if reset:
        writer.transport.abort()
    else:
        writer.close()
    await until(lambda: speaking.engine.replies[-1].closed, "the engine is stopped")
    (record,) = await charged(speaking.gateway, caller, cost)
    assert record["outcome"] == 3


async def test_a_caller_that_takes_nothing_is_cut(
    speaking: Speaking, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its engine is stopped, and the sentences are charged; one that takes a little at a time is not."""
    monkeypatch.setattr(calls, "STALLED_CALLER_S", 1.0)
    much = b"x" * 65536
    steps: list[SpeechStep] = [much, Spoken(1)]
    speaking.engine.steps = steps * 600
    reader, writer = await asyncio.open_connection("127.0.0.1", speaking.gateway.port, limit=1024)
    writer.write(caller.request(OPENAIS, {"model": "tts-1", "input": TEXT, "response_format": "pcm"}))
    await until(lambda: speaking.engine.replies, "the engine speaks")
    for _ in range(6):
        await asyncio.sleep(0.5)
        await reader.read(1024 * 1024)
        assert speaking.engine.replies[0].closed == 0
    await until(lambda: speaking.engine.replies[0].closed, "the caller is cut")
    writer.transport.abort()
    (record,) = await charged(speaking.gateway, caller, 1 * 15_000)
    assert record["outcome"] == 3


@pytest.mark.parametrize("events", [True, False])
async def test_a_server_that_stops(speaking: Speaking, caller: Caller, *, events: bool) -> None:
    """Calls that are cut are charged their sentences, and look cut; those with no sound yet are 503."""
    speaking.engine.steps = (b"a", Spoken(7), hang)
    cut = asyncio.create_task(say(caller, stream_format="sse" if events else None))
    await until(lambda: speaking.engine.replies and len(speaking.engine.replies[0].steps) == 0, "it speaks")
    speaking.engine.steps = (hang,)
    silent = asyncio.create_task(say(caller))
    await until(lambda: len(speaking.engine.replies) == 2 and not speaking.engine.replies[1].steps, "it thinks")
    speaking.gateway.inside.calls.interrupt_all(lambda: Draining(retry_after_s=2))
    refuses(await silent, 503, "service_unavailable", "restarting", kind="server_error")
    reply = await cut
    assert reply.whole == events
    if events:
        assert reply.chunks[-1]["error"]["code"] == "service_unavailable"
    await charged(speaking.gateway, caller, FIRST, records=2)


async def test_a_cap_a_balance_and_a_keys_limit(speaking: Speaking, gateway: LocalGateway, caller: Caller) -> None:
    """To the nano-dollar, in the words of speech, before the engine is asked."""
    needed = "0.000195"
    assert (await say(caller, OPENAIS, {"x-max-cost": needed})).status == 200
    reply = await say(caller, OPENAIS, {"x-max-cost": "0.000194999"})
    refuses(reply, 402, "insufficient_credit", "This speech", needed, "shorter text", param="x-max-cost", kind=UNPAID)
    exact = await gateway.caller(needed)
    assert (await say(exact)).status == 200
    refuses(await say(exact), 402, "insufficient_credit", "This speech", needed, "Top up", kind=UNPAID)
    limited = await gateway.caller(limit_usd="0.0001")
    refuses(await say(limited, OURS), 402, "insufficient_credit", "this key may still spend 0.0001 USD", kind=UNPAID)
    hurried = await gateway.caller(requests_per_minute=1)
    assert (await say(hurried)).headers["x-ratelimit-remaining-requests"] == "0"
    refuses(await say(hurried), 429, "rate_limit_exceeded", "1 requests a minute", kind="rate_limit_error")
    assert len(speaking.engine.asked) == 3


async def again(caller: Caller, key: str, path: str = OPENAIS, **fields: str) -> Reply:
    """Call with an Idempotency-Key."""
    return await say(caller, path, {"idempotency-key": key}, **fields)


@BOTH
async def test_a_repeated_call_is_spoken_once(speaking: Speaking, caller: Caller, path: str) -> None:
    """The same bytes again, charged once; another body, or path, is 422; what is kept is encrypted."""
    key = str(uuid4())
    first = await again(caller, key, path)
    for _ in range(2):
        repeated = await again(caller, key, path)
        assert (repeated.status, repeated.body, repeated.whole) == (200, SOUND, True)
        assert repeated.headers["content-type"] == first.headers["content-type"]
        assert repeated.headers["x-minitoolai-replayed"] == "true"
    assert "x-minitoolai-replayed" not in first.headers
    other = OURS if path == OPENAIS else OPENAIS
    for reply in (await again(caller, key, path, voice="nova"), await again(caller, key, other)):
        refuses(reply, 422, "idempotency_mismatch", param="idempotency-key")
    assert len(speaking.engine.asked) == 1
    ((name, sealed),) = speaking.blobs.files.items()
    assert name.startswith("replays/")
    assert b"sound" not in sealed
    await charged(speaking.gateway, caller, COST)


async def test_events_are_given_again_as_events(speaking: Speaking, caller: Caller) -> None:
    """The same sound and the same cost at its end."""
    key = str(uuid4())
    first, repeated = [await again(caller, key, stream_format="sse") for _ in range(2)]
    assert repeated.chunks[-1] == first.chunks[-1]
    sounds = [b"".join(b64decode(event["audio"]) for event in reply.chunks[:-1]) for reply in (first, repeated)]
    assert sounds == [SOUND, SOUND]
    assert repeated.headers["content-type"] == first.headers["content-type"]
    await charged(speaking.gateway, caller, COST)


async def test_many_calls_with_one_key(speaking: Speaking, caller: Caller) -> None:
    """One is spoken; the others are told that it is, or get its sound."""
    key = str(uuid4())
    replies = await asyncio.gather(*(again(caller, key) for _ in range(20)))
    assert set(Counter(reply.status for reply in replies)) <= {200, 409}
    assert {reply.body for reply in replies if reply.status == 200} == {SOUND}
    assert len(speaking.engine.asked) == 1
    await charged(speaking.gateway, caller, COST)


async def test_a_call_that_did_not_end_frees_its_key(speaking: Speaking, caller: Caller) -> None:
    """What it cost was charged, and the next call is spoken."""
    key = str(uuid4())
    speaking.engine.steps = (b"a", Spoken(7), BROKEN)
    assert not (await again(caller, key)).whole
    speaking.engine.steps = STEPS
    assert (await again(caller, key)).body == SOUND
    assert (await again(caller, key)).headers["x-minitoolai-replayed"] == "true"
    await charged(speaking.gateway, caller, FIRST + COST, records=2)


async def test_a_store_that_is_away(speaking: Speaking, caller: Caller) -> None:
    """The call is spoken and charged, and may be made anew; a kept one cannot be given until it is back."""
    key, kept = str(uuid4()), str(uuid4())
    assert (await again(caller, kept)).status == 200
    speaking.blobs.failure = StorageUnavailable(retry_after_s=5)
    assert (await again(caller, key)).body == SOUND
    assert "x-minitoolai-replayed" not in (await again(caller, key)).headers
    refuses(await again(caller, kept), 503, "service_unavailable", kind="server_error")
    speaking.blobs.failure = None
    assert (await again(caller, kept)).headers["x-minitoolai-replayed"] == "true"
    speaking.blobs.files.clear()
    refuses(await again(caller, kept), 404, "not_found", "new key", param="idempotency-key")
    await charged(speaking.gateway, caller, 3 * COST, records=3)
    assert await speaking.gateway.books.problems() == ()
