"""`POST /v1/audio/transcriptions` over real HTTP, sounds measured by the real child: what comes back, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.api.embedding_calls import answering, charged
from tests.api.transcription_calls import COST, MS, PATH, SOUND, WHISPER, form, transcribe, transcribing, usage
from tests.support.clients import Caller, ends_in_band, shows
from tests.support.local_gateway import LocalGateway
from tests.support.sounds import KINDS, sound
from tests.support.upstream import Asked, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that serves three models that write down speech."""
    async with transcribing(file_database_url, file_upstream.url) as started:
        yield started


async def test_a_sound_is_written_down_and_paid_by_its_length(
    gateway: LocalGateway, caller: Caller, upstream: Upstream
) -> None:
    """OpenAI's body with the cost in it; headers as on every paid reply; the record has the length and the price."""
    reply = await transcribe(caller, ("language", "pl"), ("colour", "red"), model="small")
    assert reply.status == 200, reply.text
    assert reply.json == {"text": "Zażółć 1500 ms of sound.wav in pl.", "usage": usage(MS, COST)}
    assert reply.headers["content-type"] == "application/json"
    assert (reply.headers["x-minitoolai-cost"], reply.headers["x-minitoolai-balance"]) == ("0.00015", "4.99985")
    assert reply.headers["x-minitoolai-ignored"] == "colour"
    assert int(reply.headers["x-ratelimit-remaining-requests"]) > 0
    (asked,) = upstream.asked
    assert asked.body == {
        "model": WHISPER, "response_format": "json", "language": "pl", "file": {"name": "sound.wav", "bytes": SOUND},
    }  # fmt: skip
    (record,) = await charged(gateway, caller, COST)
    assert (record["model"], record["engine"], record["audio_ms"]) == (WHISPER, "up", MS)
    told = (await caller.get(f"/v1/usage?request_id={reply.headers['x-request-id']}")).json["data"][0]
    assert (told["audio_seconds"], told["usd_per_minute"], told["cost"]) == (1.5, "0.006", "0.00015")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_format_reaches_the_engine_by_a_name_that_it_knows(
    caller: Caller, upstream: Upstream, kind: str
) -> None:
    """Whatever its caller calls it; the name itself stays here."""
    reply = await transcribe(caller, file=sound(kind))
    assert reply.status == 200, reply.text
    name = upstream.asked[0].body["file"]["name"]
    assert name.startswith("sound.")
    assert reply.json["usage"]["seconds"] == round(reply.json["usage"]["seconds"], 3)
    assert 1 <= reply.json["usage"]["seconds"] <= 1.1


@pytest.mark.parametrize(
    ("response_format", "media", "begins"),
    [
        ("text", "text/plain; charset=utf-8", "Zażółć 1500 ms"), ("srt", "text/plain; charset=utf-8", "1\n00:00"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT"),
    ],
)  # fmt: skip
async def test_formats_of_text(caller: Caller, response_format: str, media: str, begins: str) -> None:
    """As the engine wrote them; the cost stands in the headers."""
    reply = await transcribe(caller, ("response_format", response_format))
    assert (reply.status, reply.headers["content-type"]) == (200, media)
    assert reply.text.startswith(begins)
    assert reply.headers["x-minitoolai-cost"] == "0.00015"


async def test_every_field_goes_through(caller: Caller, upstream: Upstream) -> None:
    """Lists with or without brackets; empty fields are none."""
    fields = [
        ("response_format", "verbose_json"), ("timestamp_granularities[]", "word"), ("timestamp_granularities", "segment"),
        ("temperature", "0.25"), ("prompt", "Words\r\nand more"), ("language", ""), ("include[]", ""), ("stream", "false"),
        ("chunking_strategy[type]", "server_vad"),
    ]  # fmt: skip
    upstream.handler = answering(200, {"text": "x", "duration": 1.5, "words": []})
    reply = await transcribe(caller, *fields)
    assert reply.json == {"text": "x", "duration": 1.5, "words": [], "usage": usage(MS, COST)}
    assert "x-minitoolai-ignored" not in reply.headers
    body = {name: value for name, value in upstream.asked[0].body.items() if name != "file"}
    assert body == {
        "model": WHISPER, "response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"],
        "temperature": "0.25", "prompt": "Words\r\nand more", "chunking_strategy[type]": "server_vad",
    }  # fmt: skip


class TestStream:
    """`stream=true`."""

    async def test_events(self, gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
        """Delta after delta, then the whole text with the cost."""
        fields = [("stream", "true"), ("response_format", "text"), ("colour", "red")]
        reply = await transcribe(caller, *fields, model="gpt-4o-transcribe")
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["x-minitoolai-ignored"] == "colour"
        *deltas, last = reply.chunks
        assert {delta["type"] for delta in deltas} == {"transcript.text.delta"}
        assert "".join(delta["delta"] for delta in deltas) == last["text"] == "Zażółć 1500 ms of sound.wav in any language."
        assert (last["type"], last["usage"]["type"], last["usage"]["input_tokens"]) == ("transcript.text.done", "tokens", 15)
        assert last["usage"]["cost"] == COST / 10**9
        assert upstream.asked[0].body["stream"] == "true"
        (record,) = await charged(gateway, caller, COST)
        assert record["first_content_ms"] is not None

    async def test_a_model_that_writes_none(self, caller: Caller) -> None:
        """One delta."""
        reply = await transcribe(caller, ("stream", "1"))
        assert [chunk["type"] for chunk in reply.chunks] == ["transcript.text.delta", "transcript.text.done"]
        assert reply.chunks[1]["usage"] == usage(MS, COST)

    async def test_a_stream_that_breaks(self, gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
        """Is told in it, and costs nothing."""

        async def broken(request: web.Request, asked: Asked) -> web.StreamResponse:
            return await upstream.stream(request, asked, [b'data: {"type":"transcript.text.delta","delta":"a"}\n\n'])

        upstream.handler = broken
        ends_in_band(await transcribe(caller, ("stream", "true")))
        await charged(gateway, caller, 0)

    async def test_a_caller_that_leaves(self, gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
        """In the middle it pays; the upstream is let go."""
        upstream.pause_s = 0.3
        body = form([("model", "gpt-4o-transcribe"), ("stream", "true")])
        head = "content-type: multipart/form-data; boundary=b0undary-of-the-test"
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(caller.request(PATH, body, head).replace(b"content-type: application/json\r\n", b""))
        await reader.readuntil(b"transcript.text.delta")
        writer.close()
        await asyncio.wait_for(upstream.asked[0].left.wait(), 10)
        (record,) = await charged(gateway, caller, COST)
        assert record["audio_ms"] == MS


class TestAgain:
    """`Idempotency-Key`."""

    @pytest.mark.parametrize("fields", [[], [("response_format", "srt")], [("stream", "true")]])
    async def test_the_same_call(
        self, gateway: LocalGateway, caller: Caller, upstream: Upstream, fields: list[tuple[str, str]]
    ) -> None:
        """Is charged once, whatever stands between the parts of its form."""
        headers = {"idempotency-key": "a"}
        first = await transcribe(caller, *fields, headers=headers)
        second = await transcribe(caller, *fields, headers=headers, boundary="another-one")
        assert (second.status, second.text) == (200, first.text)
        assert second.headers["x-minitoolai-replayed"] == "true"
        assert len(upstream.asked) == 1
        await charged(gateway, caller, COST)

    async def test_another_call(self, caller: Caller) -> None:
        """Another sound or field is 422."""
        headers = {"idempotency-key": "a"}
        assert (await transcribe(caller, headers=headers)).status == 200
        others = (
            transcribe(caller, headers=headers, file=sound("wav", 1.6)),
            transcribe(caller, ("language", "pl"), headers=headers),
        )
        for other in others:
            shows(await other, 422, "idempotency_mismatch", "invalid_request_error", param="idempotency-key")


async def test_quotes(gateway: LocalGateway, caller: Caller) -> None:
    """By the length, since the sound is no JSON."""
    reply = await caller.send("/v1/quotes", {"model": "small", "seconds": 1.5})
    assert reply.json == {
        "object": "quote", "model": WHISPER, "max_cost": "0.00015", "max_completion_tokens": None,
        "lines": [
            {
                "what": "milliseconds of sound", "count": 1500, "usd_per_1m": None, "cost": "0.00015",
                "usd_per_minute": "0.006",
            }
        ],
    }  # fmt: skip
    assert (await caller.send("/v1/quotes", {"model": WHISPER, "seconds": 60})).json["max_cost"] == "0.006"
    for seconds in (0, -1, "60", 86_401, None):
        refused = await caller.send("/v1/quotes", {"model": WHISPER, "seconds": seconds})
        shows(refused, 400, "invalid_value", "invalid_request_error", param="seconds")
    await charged(gateway, caller, 0, records=0)


async def test_speakers(caller: Caller) -> None:
    """`diarized_json` where it is asked for."""
    reply = await transcribe(caller, ("response_format", "diarized_json"), model="theirs")
    found: dict[str, Any] = reply.json
    assert found["segments"][0]["speaker"] == "A"
    assert found["usage"]["cost"] == 0.15
