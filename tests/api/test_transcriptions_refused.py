"""What of a call for a transcription is refused before it costs anything, and in which words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.api.embedding_calls import answering, charged
from tests.api.transcription_calls import MODELS, PATH, WHISPER, form, post, transcribe, transcribing
from tests.support.clients import Caller, shows
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.sounds import flac_bomb, sound, wav
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that serves three models that write down speech."""
    async with transcribing(file_database_url, file_upstream.url) as started:
        yield started


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ([("model", "x")], "model", "2 times"), ([("language", "a"), ("language", "b")], "language", "2 times"),
        ([("language", "polish, please")], "language", ""), ([("response_format", "xml")], "response_format", ""),
        ([("temperature", "1.01")], "temperature", ""), ([("temperature", "warm")], "temperature", ""),
        ([("temperature", "nan")], "temperature", ""), ([("stream", "yes")], "stream", ""),
        ([("prompt", "a" * 10_001)], "prompt", ""),
        ([("timestamp_granularities[]", "year")], "timestamp_granularities[][0]", ""),
        ([("stream", "true"), ("response_format", "srt")], "stream", "json, text"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, list) else "",
)  # fmt: skip
async def test_each_field_by_its_name(
    gateway: LocalGateway, caller: Caller, upstream: Upstream, fields: list[tuple[str, str]], param: str, word: str
) -> None:
    """400; nothing is asked or charged."""
    shows(await transcribe(caller, *fields), 400, "invalid_value", "invalid_request_error", word, param=param)
    assert upstream.asked == []
    await charged(gateway, caller, 0, records=0)


@pytest.mark.parametrize(
    "file",
    [b"", b"#EXTM3U\nfile:///etc/passwd", b"<svg/>", bytes(2_000_000), sound("mp4")[:900], wav(b""), flac_bomb()],
    ids=["empty", "a playlist", "a picture", "zeros", "cut", "silent", "days"],
)
async def test_what_is_no_sound(gateway: LocalGateway, caller: Caller, upstream: Upstream, file: bytes) -> None:
    """400, `param` file; no engine sees it."""
    reply = await transcribe(caller, file=file)
    shows(reply, 400, "invalid_value", "invalid_request_error", "flac, m4a, mp3", param="file")
    assert upstream.asked == []
    await charged(gateway, caller, 0, records=0)


async def test_forms_without_what_they_need(caller: Caller) -> None:
    """No file, no model, two files, a form that is cut off, no form at all."""
    shows(await transcribe(caller, file=None), 400, "invalid_value", "invalid_request_error", "required", param="file")
    media = "multipart/form-data; boundary=b0undary-of-the-test"
    no_model = await post(caller, form([]), media)
    shows(no_model, 400, "invalid_value", "invalid_request_error", "required", param="model")
    twice = await post(caller, form([("model", WHISPER), ("file", b"x")]), media)
    shows(twice, 400, "invalid_value", "invalid_request_error", "more than once", param="file")
    cut = await post(caller, form([("model", WHISPER)])[:-10], media)
    shows(cut, 400, "invalid_value", "invalid_request_error", "cut off", param="body")
    plain = await caller.send(PATH, {"model": WHISPER})
    shows(plain, 415, "unsupported_media_type", "invalid_request_error", "multipart/form-data")
    shows(
        await post(caller, b"", "multipart/form-data"),
        400,
        "invalid_value",
        "invalid_request_error",
        param="content-type",
    )


async def test_a_sound_that_is_too_large(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """413 above OpenAI's 25 MiB, whatever limit bodies of JSON have; up to it all is well."""
    most = 25 * 1024 * 1024
    assert (await transcribe(caller, file=wav(bytes(most - 44)))).status == 200
    for size in (most + 1, most + 3 * 1024 * 1024):
        reply = await transcribe(caller, file=wav(bytes(size - 44)))
        shows(reply, 413, "request_too_large", "invalid_request_error", "26214400 bytes", param="file")
    assert len(upstream.asked) == 1


async def test_models_are_of_one_kind(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Each error as everywhere."""
    chat = await transcribe(caller, model="gpt-4o-mini")
    shows(chat, 400, "invalid_value", "invalid_request_error", "/v1/chat/completions", param="model")
    shows(await transcribe(caller, model="gpt-9"), 404, "model_not_found", "invalid_request_error", param="model")
    away = await transcribe(caller, model="gpt-4o-mini-transcribe")
    shows(away, 503, "service_unavailable", "server_error", "No engine", param="model")
    here = await caller.openai(model=WHISPER)
    shows(here, 400, "invalid_value", "invalid_request_error", "/v1/audio/transcriptions", param="model")
    narrow = await gateway.caller(models=["gpt-4o"])
    shows(await transcribe(narrow), 403, "permission_denied", "permission_error", param="model")
    stranger = Caller(caller.base, "sk-x", "", 0, 0)
    shows(await transcribe(stranger), 401, "invalid_api_key", "authentication_error")
    assert upstream.asked == []


async def test_what_it_costs_too_much(gateway: LocalGateway, upstream: Upstream) -> None:
    """402 in words of sounds: by the balance, by the caller's cap."""
    poor = await gateway.caller("0.0001")
    words = ("This sound of 1.5 s costs 0.00015 USD", "0.0001 USD")
    shows(await transcribe(poor), 402, "insufficient_credit", "insufficient_quota", *words)
    capped = await transcribe(poor, headers={"x-max-cost": "0.00012"})
    shows(capped, 402, "insufficient_credit", "insufficient_quota", words[0], "0.00012 USD", param="x-max-cost")
    assert upstream.asked == []


async def test_what_the_engine_refuses(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """In our words, by the caller's field; nothing is charged."""
    reply = await transcribe(caller, ("response_format", "srt"), model="gpt-4o-transcribe")
    upstream.handler = answering(400, {"error": {"message": "canary", "param": "response_format"}})
    reply = await transcribe(caller, ("response_format", "srt"), model="gpt-4o-transcribe")
    shows(reply, 400, "invalid_value", "invalid_request_error", "response_format", param="response_format")
    await charged(gateway, caller, 0, records=2)


async def test_an_engine_that_fails(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """502 without its words, and nothing charged."""
    upstream.handler = answering(500, {"error": {"message": "canary"}})
    shows(await transcribe(caller), 502, "upstream_error", "server_error")
    upstream.handler = answering(200, {"transcript": "canary"})
    shows(await transcribe(caller), 502, "upstream_error", "server_error")
    await charged(gateway, caller, 0, records=2)


async def test_the_child_is_away(file_database_url: str, upstream: Upstream) -> None:
    """503, and the call may be repeated."""
    async with local_gateway(file_database_url, upstream.url, models=MODELS) as alone:
        reply = await transcribe(await alone.caller())
        shows(reply, 503, "service_unavailable", "server_error")
        assert reply.headers["retry-after"] == "2"
    assert upstream.asked == []
