"""Speech at OpenAI and its like: what is sent, what comes back, and what each way to fail means."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.errors import (
    ApiError,
    EngineLacksModel,
    EngineQuotaExhausted,
    EngineRefusedRequest,
    InvalidValue,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.speech import FORMATS, OPENAI_VOICES, AudioFormat, SpeechRequest
from minitoolai.engines.openai_speech import OpenAISound, OpenAISpeech
from minitoolai.engines.openai_upstream import OpenAIUpstream, UpstreamSettings
from minitoolai.services.speech_ports import SpeechEngine, SpeechReply
from tests.support.clients import until
from tests.support.faithful_speech import CHARACTER_S, FORBIDDEN, speak
from tests.support.faithful_upstream import KEY, FaithfulUpstream
from tests.support.speaking_child import heard
from tests.support.upstream import Asked, Upstream

MODEL = SpeechModel("seen", 1, engine="up", upstream="tts-1")
TEXT = "Hello. World."
ASKED = SpeechRequest(TEXT)
#: So soon a wait ends that is to end by itself.
SOON_S = 0.05

Engines = Callable[..., OpenAISpeech]


@pytest.fixture
async def faithful() -> AsyncIterator[FaithfulUpstream]:
    """A server that speaks OpenAI's API as published."""
    async with FaithfulUpstream() as server:
        yield server


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A server that does as it is told."""
    async with Upstream() as server:
        yield server


@pytest.fixture
async def engine() -> AsyncIterator[Engines]:
    """Makes engines of a server: `engine(url, first_byte_s=…)`."""
    opened: list[OpenAIUpstream] = []

    def made(url: str, **settings: Any) -> OpenAISpeech:
        opened.append(OpenAIUpstream("up", UpstreamSettings(url, KEY, **settings)))
        return OpenAISpeech(opened[-1], 4)

    yield made
    for each in opened:
        await each.close()


async def whole(reply: SpeechReply) -> bytes:
    """Read a sound to its end."""
    parts = []
    try:
        while part := await reply.read():
            parts.append(part)
    finally:
        reply.close()
    return b"".join(parts)


def answering(body: bytes, **options: Any) -> Callable[[web.Request, Asked], Any]:
    """What answers with these bytes."""

    async def answer(_: web.Request, __: Asked) -> web.StreamResponse:
        return web.Response(body=body, **options)

    return answer


def of_type(media: str) -> dict[str, Any]:
    """The type of an answer."""
    return {"headers": {"content-type": media}}


@pytest.mark.parametrize("sound_format", FORMATS)
async def test_what_is_sent_and_what_comes_back(
    faithful: FaithfulUpstream, engine: Engines, sound_format: AudioFormat
) -> None:
    """The fields that such a server knows, those left out that are as usual; its bytes, which a decoder reads."""
    speaker: SpeechEngine = engine(faithful.url)
    request = msgspec.structs.replace(ASKED, format=sound_format, language="en")
    reply = await speaker.open(MODEL, request)
    assert (reply.spoken, reply.counted()) == (None, None)
    sound = await whole(reply)
    assert sound == speak(faithful.calls[0].body)[0]
    assert len(heard(sound, sound_format).samples) / heard(sound, sound_format).rate == pytest.approx(
        len(TEXT) * CHARACTER_S, abs=0.15
    )
    assert faithful.calls[0].body == {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": sound_format}
    full = SpeechRequest(TEXT, "nova", None, 2.0, 1.0, sound_format, instructions="calmly")
    await whole(await speaker.open(MODEL, full, urgent=False))
    more = {"voice": "nova", "speed": 2.0, "instructions": "calmly"}
    assert faithful.calls[1].body == {**faithful.calls[0].body, **more}
    assert (speaker.name, speaker.parallel, speaker.ignores) == ("up", 4, frozenset({"language"}))


async def test_its_voices_are_openais(engine: Engines) -> None:
    """Such a server does not tell which it has."""
    assert [voice.id for voice in await engine("http://nowhere.test").voices(MODEL)] == list(OPENAI_VOICES)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"pitch": 1.5}, "pitch"), ({"ssml": True}, "ssml"), ({"text": "a" * 4097, "format": "wav"}, "format")],
)
async def test_what_it_does_not_do(engine: Engines, fields: dict[str, Any], param: str) -> None:
    """Known before it is asked."""
    speaker = engine("http://nowhere.test")
    speaker.check(MODEL, ASKED)
    speaker.check(MODEL, SpeechRequest("a" * 100_000))
    with pytest.raises(InvalidValue) as caught:
        await speaker.open(MODEL, msgspec.structs.replace(ASKED, **fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"voice": "nobody"}, "voice"),
        ({"text": FORBIDDEN}, "text"),
        ({"format": "ogg"}, "format"),
        ({"speed": 9.0}, "speed"),
    ],
)
async def test_a_refusal_names_our_fields(
    faithful: FaithfulUpstream, engine: Engines, fields: dict[str, Any], param: str
) -> None:
    """Not those of the upstream, and none of its words."""
    with pytest.raises(EngineRefusedRequest) as caught:
        await engine(faithful.url).open(MODEL, msgspec.structs.replace(ASKED, **fields))
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message
    assert "Invalid voice" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, EngineRefusedRequest), (401, UpstreamError), (404, EngineLacksModel), (429, RateLimited),
        (402, EngineQuotaExhausted), (500, UpstreamError), (503, ServiceUnavailable), (307, UpstreamError),
    ],
)  # fmt: skip
async def test_statuses(upstream: Upstream, engine: Engines, status: int, error: type[ApiError]) -> None:
    """As at every upstream."""
    upstream.handler = answering(b"canary", status=status)
    with pytest.raises(error) as caught:
        await engine(upstream.url).open(MODEL, ASKED)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b'{"audio": "canary"}', of_type("application/json")),
        (b"<html>canary</html>", of_type("text/html")),
        (b"ID3 canary", of_type("text/plain")),
        (b"", of_type("audio/mpeg")),
        (b"RIFF1234WAVEfmt canary", of_type("audio/mpeg")),
        (b'{"canary": 1}', of_type("application/octet-stream")),
    ],
    ids=["json", "html", "text", "nothing", "another format", "json by another name"],
)
async def test_what_is_no_sound_is_an_upstreams_fault(
    upstream: Upstream, engine: Engines, caplog: pytest.LogCaptureFixture, body: bytes, options: dict[str, Any]
) -> None:
    """Before a byte of it goes on; the log says what came, in our words."""
    upstream.handler = answering(body, **options)
    with caplog.at_level(logging.ERROR), pytest.raises(UpstreamError):
        await engine(upstream.url).open(MODEL, ASKED)
    assert "in place of mp3" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("media", ["audio/mpeg", "audio/mp3", "application/octet-stream"])
async def test_sound_by_any_name(upstream: Upstream, engine: Engines, media: str) -> None:
    """Servers call it differently; a short one is one too."""
    upstream.handler = answering(b"ID3", **of_type(media))
    assert await whole(await engine(upstream.url).open(MODEL, ASKED)) == b"ID3"


async def test_a_server_that_is_not_there(engine: Engines) -> None:
    """502."""
    with pytest.raises(UpstreamError):
        await engine("http://127.0.0.1:9").open(MODEL, ASKED)


@pytest.mark.parametrize("headers", [True, False])
async def test_a_server_that_does_not_answer(upstream: Upstream, engine: Engines, *, headers: bool) -> None:
    """Neither its headers nor the first byte of its sound are waited for without end; it is left then."""

    async def hang(request: web.Request, _: Asked) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "audio/mpeg"})
        if headers:
            await reply.prepare(request)
        await asyncio.sleep(60)
        return reply

    upstream.handler = hang
    with pytest.raises(UpstreamTimeout):
        await engine(upstream.url, **{"between_bytes_s" if headers else "first_byte_s": SOON_S}).open(MODEL, ASKED)
    await asyncio.wait_for(upstream.asked[0].left.wait(), 20)


async def test_a_call_that_is_cancelled_leaves_nothing_open(upstream: Upstream, engine: Engines) -> None:
    """Before its sound, and in the midst of it."""

    async def begin(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "audio/mpeg"})
        await reply.prepare(request)
        await reply.write(b"ID3" + bytes(40) if asked.body["voice"] == "nova" else b"ID3")
        await asyncio.sleep(60)
        return reply

    upstream.handler = begin
    task = asyncio.create_task(engine(upstream.url).open(MODEL, ASKED))
    await until(lambda: upstream.asked, "the call")
    await asyncio.sleep(SOON_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(upstream.asked[0].left.wait(), 20)
    reply = await engine(upstream.url).open(MODEL, SpeechRequest(TEXT, "nova"))
    assert await reply.read() == b"ID3" + bytes(40)
    reply.close()
    await asyncio.wait_for(upstream.asked[1].left.wait(), 20)


async def test_a_sound_that_breaks_off(faithful: FaithfulUpstream, engine: Engines) -> None:
    """It raises in place of its end."""
    faithful.break_after = 3
    reply = await engine(faithful.url).open(MODEL, ASKED)
    with pytest.raises(UpstreamError):
        await whole(reply)


LONG = "A sentence of some words. " * 400


async def long_sound(engine: OpenAISpeech, sound_format: AudioFormat) -> tuple[bytes, list[int | None]]:
    """Have the long text spoken; return the sound, and how far each read was."""
    reply: OpenAISound = await engine.open(MODEL, SpeechRequest(LONG, format=sound_format), urgent=False)
    parts, said = [], [reply.spoken]
    while part := await reply.read():
        parts.append(part)
        said.append(reply.spoken)
    said.append(reply.spoken)
    reply.close()
    return b"".join(parts), said


@pytest.mark.parametrize("sound_format", ["mp3", "aac", "pcm"])
async def test_a_long_text_is_spoken_in_parts(
    faithful: FaithfulUpstream, engine: Engines, sound_format: AudioFormat
) -> None:
    """Of whole sentences, one after the other; a decoder reads one sound of them, and how far it is is known."""
    sound, said = await long_sound(engine(faithful.url), sound_format)
    texts = [call.body["input"] for call in faithful.calls]
    assert [len(text) <= 4096 and text.endswith(".") for text in texts] == [True] * 3
    assert " ".join(texts) == LONG.strip()
    listened = heard(sound, sound_format)
    assert len(listened.samples) / listened.rate == pytest.approx(len(LONG) * CHARACTER_S, rel=0.01)
    assert list(dict.fromkeys(said)) == [0, 26 * 157, 26 * 314, len(LONG)]


async def test_a_part_that_fails_fails_the_text(upstream: Upstream, engine: Engines) -> None:
    """What was spoken before it is known."""

    async def answer(_: web.Request, __: Asked) -> web.StreamResponse:
        if len(upstream.asked) > 1:
            return web.Response(status=500)
        return web.Response(body=b"ID3", headers={"content-type": "audio/mpeg"})

    upstream.handler = answer
    reply = await engine(upstream.url).open(MODEL, SpeechRequest(LONG))
    with pytest.raises(UpstreamError):
        await whole(reply)
    assert reply.spoken == 26 * 157
