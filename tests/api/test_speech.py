"""Speech over real HTTP: what comes back on both surfaces, and what is refused before it costs anything."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from minitoolai.core.errors import EngineRefusedRequest, InvalidValue
from minitoolai.core.speech import FORMATS, MEDIA_TYPES, OPENAI_VOICES, SpeechRequest, Voice
from tests.api.embedding_calls import charged
from tests.api.speech_calls import COST, OPENAIS, OURS, SOUND, TEXT, Speaking, format_of, refuses, say, text_of
from tests.support.clients import Caller, Reply
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH = pytest.mark.parametrize("path", [OURS, OPENAIS])
SSML = '<speak>Hi <break time="1s"/>there</speak>'


@pytest_asyncio.fixture(loop_scope="module")
async def speaking(gateway: LocalGateway, upstream: Upstream) -> AsyncIterator[Speaking]:
    """The gateway, which speaks by an engine in memory."""
    found = Speaking(gateway)
    found.serve()
    yield found


def asked_of(speaking: Speaking) -> SpeechRequest:
    """The one request that the engine was asked."""
    ((_, request),) = speaking.engine.asked
    return request


@BOTH
async def test_a_text_is_spoken_and_charged_to_the_character(speaking: Speaking, caller: Caller, path: str) -> None:
    """The engine's bytes, streamed; headers as on every paid reply; the record has all of it, and so has the report."""
    reply = await say(caller, path, colour="red", model="tts")
    assert (reply.status, reply.body, reply.whole) == (200, SOUND, True)
    assert reply.headers["content-type"] == "audio/mpeg"
    assert reply.headers["transfer-encoding"] == "chunked"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-minitoolai-ignored"] == "colour"
    assert int(reply.headers["x-ratelimit-remaining-requests"]) > 0
    assert asked_of(speaking) == SpeechRequest(TEXT, voice="alloy")
    (record,) = await charged(speaking.gateway, caller, COST)
    assert (record["model"], record["engine"], record["characters"], record["cost"]) == ("tts-1", "fake", len(TEXT), COST)
    (shown,) = (await caller.get(f"/v1/usage?request_id={reply.headers['x-request-id']}")).json["data"]
    assert (shown["characters"], shown["usd_per_1m_characters"], shown["cost"]) == (len(TEXT), "15", "0.000195")
    assert (shown["outcome"], shown["prompt_tokens"]) == ("completed", 0)


@BOTH
@pytest.mark.parametrize("sound_format", FORMATS)
async def test_every_format_has_its_type(speaking: Speaking, caller: Caller, path: str, sound_format: str) -> None:
    """As RFCs have it; the engine is asked for it."""
    reply = await say(caller, path, **{format_of(path): sound_format})
    assert reply.headers["content-type"] == MEDIA_TYPES[sound_format]  # type: ignore[index]
    assert asked_of(speaking).format == sound_format


@BOTH
async def test_every_field_reaches_the_engine(speaking: Speaking, caller: Caller, path: str) -> None:
    """Under the surface's own names; a voice as OpenAI's SDKs write those that are one's own; whole numbers."""
    fields: dict[str, Any] = {"speed": 2, "pitch": 1.5, "language": "en-GB", "voice": {"id": "mine"}}
    reply = await say(caller, path, **{format_of(path): "opus"}, **fields)
    assert reply.status == 200, reply.text
    assert asked_of(speaking) == SpeechRequest(TEXT, "mine", "en-GB", 2.0, 1.5, "opus")


@BOTH
async def test_what_may_be_left_out_may_be_null(speaking: Speaking, caller: Caller, path: str) -> None:
    """A voice too, which OpenAI demands."""
    names = ("voice", "speed", "pitch", "language", "ssml", format_of(path))
    body = {"model": "tts-1", text_of(path): TEXT, **dict.fromkeys(names)}
    if path == OPENAIS:
        body |= {"stream_format": None, "instructions": None}
    reply = await caller.send(path, body)
    assert (reply.status, reply.headers.get("x-minitoolai-ignored")) == (200, None)
    assert asked_of(speaking) == SpeechRequest(TEXT)


async def test_instructions_go_to_engines_that_follow_them(speaking: Speaking, caller: Caller) -> None:
    """Otherwise the reply says that they were ignored, beside what nobody knows."""
    reply = await say(caller, instructions="calmly", colour="red")
    assert reply.headers["x-minitoolai-ignored"] == "colour, instructions"
    assert asked_of(speaking).instructions == "calmly"
    speaking.engine.ignores = frozenset()
    assert "x-minitoolai-ignored" not in (await say(caller, instructions="calmly")).headers


async def test_openais_events(speaking: Speaking, caller: Caller) -> None:
    """Each part in base64, then what it cost; no `[DONE]`, as OpenAI's."""
    reply = await say(caller, stream_format="sse", instructions="calmly")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-minitoolai-ignored"] == "instructions"
    *deltas, done = reply.chunks
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert b"".join(b64decode(delta["audio"]) for delta in deltas) == SOUND
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "characters": len(TEXT), "cost": COST / 10**9}
    assert done == {"type": "speech.audio.done", "usage": usage}
    assert len(reply.events) == len(deltas) + 1
    assert (await say(caller, stream_format="audio")).body == SOUND
    await charged(speaking.gateway, caller, 2 * COST, records=2)


@BOTH
async def test_marked_up_text(speaking: Speaking, caller: Caller, path: str) -> None:
    """It is checked and written out anew; every character that was sent is paid, its markup too."""
    reply = await say(caller, path, **{text_of(path): SSML}, ssml=True)
    assert reply.status == 200, reply.text
    request = asked_of(speaking)
    assert request.ssml
    assert request.text.startswith("<speak")
    (record,) = await charged(speaking.gateway, caller, len(SSML) * 15_000)
    assert record["characters"] == len(SSML)


@BOTH
@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("a\0b\x07c\x1b\x7f\x85d", "a b c   d"),
        ("one\ttwo\r\nthree", "one\ttwo\r\nthree"),
        ("\N{GRINNING FACE}", "\N{GRINNING FACE}"),
        ("\u202eabc \u05e9\u05dc\u05d5\u05dd", "\u202eabc \u05e9\u05dc\u05d5\u05dd"),
        ("!", "!"),
        ("<speak>no markup</speak> & co", "<speak>no markup</speak> & co"),
        ("a" * 4096, "a" * 4096),
        ("\N{GRINNING FACE}" * 4096, "\N{GRINNING FACE}" * 4096),
    ],
    ids=["controls", "white space", "emoji", "right to left", "a mark", "brackets", "the longest", "the longest of emoji"],
)
async def test_unusual_texts(speaking: Speaking, caller: Caller, path: str, text: str, spoken: str) -> None:
    """What nobody can say is read as spaces; a character is a code point, whatever it is."""
    reply = await say(caller, path, **{text_of(path): text})
    assert reply.status == 200, reply.text
    assert asked_of(speaking).text == spoken
    await charged(speaking.gateway, caller, len(text) * 15_000)


async def test_a_long_text_becomes_a_job(speaking: Speaking, caller: Caller) -> None:
    """It is held, not spoken now; what its engine is known not to do is refused first."""
    long = "a" * 4097
    speaking.engine.refuses = InvalidValue(param="pitch", why="it has one.")
    refuses(await say(caller, OURS, text=long), 400, "invalid_value", param="pitch")
    speaking.engine.refuses = None
    reply = await say(caller, OURS, text=long, colour="red")
    assert reply.status == 200, reply.text
    assert reply.json.keys() == {"status", "jobid", "signature"}
    assert reply.json["status"] == "success"
    assert reply.headers["x-minitoolai-ignored"] == "colour"
    assert (await caller.get("/v1/balance")).json["held"] == "0.061455"
    told = await caller.send(f"{OURS}jobs/", {"jobid": reply.json["jobid"], "signature": reply.json["signature"]})
    assert (told.json["status"], told.json["audio_url"]) == ("processing", None)
    ended = await caller.send(f"{OURS}jobs/cancel/", {"jobid": reply.json["jobid"], "signature": reply.json["signature"]})
    assert ended.json["status"] == "error"
    assert speaking.engine.asked == []
    await charged(speaking.gateway, caller, 0)


@BOTH
async def test_keys_and_models(speaking: Speaking, gateway: LocalGateway, caller: Caller, path: str) -> None:
    """401 without a key, 403 for a model that is not the key's, 404 and 503 as everywhere; ours says it in both shapes."""
    refused = await say(caller, path, {"authorization": ""})
    refuses(refused, 401, "invalid_api_key", kind="authentication_error")
    assert (refused.json.get("status") == "error") == (path == OURS)
    narrow = await gateway.caller(models=["gpt-4o"])
    refuses(await say(narrow, path), 403, "permission_denied", param="model", kind="permission_error")
    refuses(await say(caller, path, model="gpt-9"), 404, "model_not_found", param="model")
    refuses(await say(caller, path, model="tts-1-hd"), 503, "service_unavailable", param="model", kind="server_error")
    assert (await caller.send(path, method="GET")).status == 405
    assert (await caller.send(path, b"[1]")).error["code"] == "invalid_json"
    assert speaking.engine.asked == []


@BOTH
async def test_errors_of_engines_name_the_callers_fields(speaking: Speaking, caller: Caller, path: str) -> None:
    """Engines call them as the core does."""
    for field, name in {"text": text_of(path), "format": format_of(path), "voice": "voice", "language": "language"}.items():
        speaking.engine.before_sound = InvalidValue(param=field, why="it is wrong.")
        refuses(await say(caller, path), 400, "invalid_value", f"'{name}'", param=name)
        speaking.engine.before_sound = EngineRefusedRequest(param=field, model="tts-1", where=f": '{field}'")
        refuses(await say(caller, path), 400, "invalid_value", f"'{name}'", param=name)
    await charged(speaking.gateway, caller, 0, records=8)


async def test_the_voices(speaking: Speaking, gateway: LocalGateway, caller: Caller) -> None:
    """OpenAI's names and the engine's own, by language and model; with a key."""
    speaking.engine.has = [Voice("pl", "Polish", "pl", "male"), Voice("en-us", "American", "en-US")]
    listed = (await caller.get("/v1/audio/voices")).json
    assert listed["object"] == "list"
    assert [voice["id"] for voice in listed["data"]] == [*OPENAI_VOICES, "pl", "en-us"]
    assert listed["data"][-2] == {
        "id": "pl", "object": "voice", "name": "Polish", "language": "pl", "gender": "male", "models": ["tts-1"],
    }  # fmt: skip
    only = (await caller.get("/v1/audio/voices?language=en&model=tts-1")).json["data"]
    assert [voice["id"] for voice in only] == [*OPENAI_VOICES, "en-us"]
    for query, param in {"language=en_US": "language", "model=gpt-4o-mini": "model", "colour=red": "colour"}.items():
        refuses(await caller.get(f"/v1/audio/voices?{query}"), 400, "invalid_value", param=param)
    refuses(await caller.get("/v1/audio/voices?model=x"), 404, "model_not_found", param="model")
    narrow = await gateway.caller(models=["gpt-4o"])
    assert (await narrow.get("/v1/audio/voices")).json["data"] == []
    told = await narrow.get("/v1/audio/voices?model=tts-1")
    refuses(told, 403, "permission_denied", param="model", kind="permission_error")
    stranger = await caller.send("/v1/audio/voices", method="GET", headers={"authorization": ""})
    refuses(stranger, 401, "invalid_api_key", kind="authentication_error")


@pytest.mark.parametrize("body", [{"input": TEXT}, {"text": TEXT}, {"text": "a" * 100_000}, {"input": SSML, "ssml": True}])
async def test_a_quote_is_what_is_charged(speaking: Speaking, caller: Caller, body: dict[str, Any]) -> None:
    """By a body of either surface, of a long text too; nothing runs."""
    length = len(body.get("text") or body["input"])
    quote: Reply = await caller.send("/v1/quotes", {"model": "tts-1", **body})
    cost = f"{length * 15_000 / 10**9:.9f}".rstrip("0")
    assert quote.json == {
        "object": "quote", "model": "tts-1", "max_cost": cost, "max_completion_tokens": None,
        "lines": [{"what": "characters", "count": length, "usd_per_1m": "15", "cost": cost}],
    }  # fmt: skip
    assert speaking.engine.asked == []
    await charged(speaking.gateway, caller, 0, records=0)


async def test_a_quote_is_refused_as_the_call(speaking: Speaking, caller: Caller) -> None:
    """In the words of the surface whose body it is."""
    speaking.engine.refuses = InvalidValue(param="format", why="it has one.")
    for body, param in (({"input": TEXT}, "response_format"), ({"text": TEXT}, "format"), ({}, "text")):
        quote = await caller.send("/v1/quotes", {"model": "tts-1", **body})
        refuses(quote, 400, "invalid_value", param=param)


async def test_openais_own_client(speaking: Speaking, caller: Caller) -> None:
    """It streams to a file as it does from OpenAI, and its errors say what is wrong."""
    async with AsyncOpenAI(api_key=caller.key, base_url=f"{caller.base}/v1", max_retries=0) as client:
        parts = []
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", input=TEXT, voice="nova", response_format="wav", speed=1.5
        ) as reply:
            async for part in reply.iter_bytes():
                parts.append(part)
        assert b"".join(parts) == SOUND
        whole = await client.audio.speech.create(model="tts-1", input=TEXT, voice={"id": "mine"})
        assert whole.content == SOUND
        with pytest.raises(Exception, match="Name a voice of GET /v1/audio/voices"):
            await client.audio.speech.create(model="tts-1", input=TEXT, voice="")
    assert [request.voice for _, request in speaking.engine.asked] == ["nova", "mine"]


async def test_a_sound_comes_as_it_is_made(speaking: Speaking, caller: Caller) -> None:
    """The caller hears the beginning while the engine still speaks."""
    go = asyncio.Event()

    async def wait() -> bytes:
        await go.wait()
        return b"the rest"

    speaking.engine.steps = (b"begin", wait)
    async with (
        AsyncOpenAI(api_key=caller.key, base_url=f"{caller.base}/v1", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(model="tts-1", input=TEXT, voice="nova") as reply,
    ):
        coming = reply.iter_bytes()
        assert await anext(coming) == b"begin"
        go.set()
        assert await anext(coming) == b"the rest"
