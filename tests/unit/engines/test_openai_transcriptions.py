"""Sounds go to an upstream as the form that OpenAI documents, and its refusals come back in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from minitoolai.core.catalog import TranscriptionModel
from minitoolai.core.errors import EngineRefusedRequest, UpstreamError, UpstreamTimeout
from minitoolai.core.transcription import MAX_SOUND_BYTES, TranscriptionRequest
from minitoolai.engines.openai_transcriptions import OpenAITranscriptions
from minitoolai.engines.openai_upstream import OpenAIReply, OpenAIUpstream, UpstreamSettings
from tests.support.sounds import sound, wav
from tests.support.upstream import Asked, Upstream

MODEL = TranscriptionModel("ours", 1, engine="up", upstream="gpt-4o-transcribe")
REQUEST = TranscriptionRequest(
    "ours", sound("mp3"), "sound.mp3", fields=(("language", "pl"), ("prompt", "Zażółć\r\n--x"), ("include[]", "logprobs"))
)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """The other end."""
    async with Upstream() as server:
        yield server


@pytest.fixture
async def engine(upstream: Upstream) -> AsyncIterator[OpenAITranscriptions]:
    """What is tested."""
    connections = OpenAIUpstream("up", UpstreamSettings(upstream.url, "sk-secret", first_byte_s=2.0))
    yield OpenAITranscriptions(connections)
    await connections.close()


async def whole(reply: OpenAIReply) -> bytes:
    """Read a reply to its end."""
    parts = []
    while part := await reply.read():
        parts.append(part)
    reply.close()
    return b"".join(parts)


async def test_the_form(engine: OpenAITranscriptions, upstream: Upstream) -> None:
    """Every field and the file, to the byte; the key in a header."""
    engine.check(MODEL, REQUEST)
    assert b"1080 ms of sound.mp3 in pl" in await whole(await engine.open(MODEL, REQUEST))
    (asked,) = upstream.asked
    assert asked.body == {
        "model": "gpt-4o-transcribe", "response_format": "json", "language": "pl", "prompt": "Zażółć\r\n--x",
        "include[]": ["logprobs"], "file": {"name": "sound.mp3", "bytes": sound("mp3")},
    }  # fmt: skip
    assert asked.headers["authorization"] == "Bearer sk-secret"
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert (engine.name, engine.total_s) == ("up", 1800.0)


async def test_the_largest_sound(engine: OpenAITranscriptions, upstream: Upstream) -> None:
    """Goes as it came; its length is told beforehand, so that no server needs to take it in chunks."""
    largest = wav(bytes(MAX_SOUND_BYTES - 44))
    await whole(await engine.open(MODEL, replace(REQUEST, sound=largest, file_name="sound.wav", fields=())))
    (asked,) = upstream.asked
    assert asked.body["file"]["bytes"] == largest
    assert int(asked.headers["content-length"]) > MAX_SOUND_BYTES


async def test_a_stream(engine: OpenAITranscriptions, upstream: Upstream) -> None:
    """Events as they come."""
    raw = await whole(await engine.open(MODEL, replace(REQUEST, stream=True, fields=())))
    assert upstream.asked[0].body["stream"] == "true"
    assert raw.startswith(b'data: {"type":"transcript.text.delta"')


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        ("response_format", "response_format"),
        ("file", "file"),
        ("include", "include"),
        ("language", "language"),
        ("secret", None),
    ],
)
async def test_a_refusal(engine: OpenAITranscriptions, upstream: Upstream, param: str, shown: str | None) -> None:
    """Names the field only where the caller sent it."""

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": {"message": "canary", "param": param}}, status=400)

    upstream.handler = refuse
    with pytest.raises(EngineRefusedRequest) as caught:
        await engine.open(MODEL, REQUEST)
    assert caught.value.param == shown
    assert "canary" not in caught.value.message


async def test_an_upstream_that_is_slow_or_away(engine: OpenAITranscriptions, upstream: Upstream) -> None:
    """As every other engine's failures."""
    upstream.pause_s = 30
    with pytest.raises(UpstreamTimeout):
        await engine.open(MODEL, REQUEST)
    away = OpenAIUpstream("up", UpstreamSettings("http://127.0.0.1:9"))
    with pytest.raises(UpstreamError):
        await OpenAITranscriptions(away).open(MODEL, REQUEST)
    await away.close()
