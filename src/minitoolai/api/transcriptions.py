"""`POST /v1/audio/transcriptions`, as OpenAI's (docs/reference/transcriptions.md)."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from minitoolai.api.bodies import checked
from minitoolai.api.chat_request import shown_names
from minitoolai.api.paid import cost_headers, max_cost_nusd, repeatable
from minitoolai.api.quotes import Quoter
from minitoolai.core.access import Principal
from minitoolai.core.errors import InvalidValue, RequestTooLarge
from minitoolai.core.quotes import Quote
from minitoolai.core.records import CallFacts
from minitoolai.core.sound_header import sound_format
from minitoolai.core.transcription import (
    MAX_SOUND_BYTES,
    MAX_SOUND_MS,
    MEDIA_TYPES,
    RESPONSE_FORMATS,
    ResponseFormat,
    TranscriptionRequest,
)
from minitoolai.core.transcription_errors import InvalidAudio, SoundTooLarge
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import JSON, REPLAYED, Exchange, Headers
from minitoolai.edge.forms import Form, read_form
from minitoolai.services.access import Access
from minitoolai.services.transcriptions import Transcriptions

#: Characters of a prompt at most: far more than the 224 tokens that any model of today reads.
MAX_PROMPT = 10_000
#: Fields that may stand more than once; the brackets may be left out.
_LISTS = ("timestamp_granularities[]", "include[]")
#: Fields that the gateway itself reads.
_READ = ("model", "response_format", "stream")
#: Fields that are handed to an engine untouched: OpenAI's SDKs write an object as one field for each of its own.
_PASSED = re.compile(
    r"language|prompt|temperature|chunking_strategy(\[[a-z_]{1,40}\])?|timestamp_granularities\[\]|include\[\]"
)
#: Formats whose text may come in events.
_STREAMED: tuple[ResponseFormat, ...] = ("json", "text", "diarized_json")

#: What each field takes, for callers that sent something else.
_INSTEAD = {
    "file": "Send the sound as a file.",
    "model": "Name a transcription model of GET /v1/models.",
    "language": 'Send the code of the language that is spoken, like "pl".',
    "prompt": f"Send up to {MAX_PROMPT} characters, or leave it out.",
    "response_format": f"Send one of {', '.join(RESPONSE_FORMATS)}.",
    "temperature": "Send a number from 0 to 1.",
    "stream": "Send true or false.",
    r"timestamp_granularities.*": "Send word or segment.",
    "seconds": "Send how long the sound is.",
}

_encode = msgspec.json.Encoder().encode


class TranscriptionBody(msgspec.Struct):
    """The fields of the form, each checked from its text."""

    file: Annotated[Any, msgspec.Meta(extra_json_schema={"type": "string", "format": "binary"})]
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    language: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=35)] | None = None
    prompt: Annotated[str, msgspec.Meta(max_length=MAX_PROMPT)] | None = None
    response_format: ResponseFormat = "json"
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    chunking_strategy: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    stream: bool = False
    timestamp_granularities: list[Annotated[str, msgspec.Meta(pattern="^(word|segment)$")]] = msgspec.field(
        default_factory=list, name="timestamp_granularities[]"
    )
    include: list[Annotated[str, msgspec.Meta(max_length=100)]] = msgspec.field(default_factory=list, name="include[]")


class SoundQuoteBody(msgspec.Struct):
    """A quote's body: the sound itself is no JSON."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SOUND_MS / 1000)]


def add_transcriptions(routes: Routes, access: Access, transcriptions: Transcriptions) -> None:
    """Add the route. Its bodies have a limit of their own: OpenAI's for sounds."""

    async def answer(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        request, ignored = await _request(exchange)
        headers: Headers = [(b"x-minitoolai-ignored", ignored.encode())] if ignored else []
        if request.stream:
            stream = exchange.event_stream(headers)
            await transcriptions.stream(principal, exchange.call_id, request, stream, exchange.facts)
            await stream.end()
            return
        reply = await transcriptions.whole(principal, exchange.call_id, request, exchange.facts)
        headers += cost_headers(reply.cost_nusd, reply.balance_nusd, reply.rates)
        if reply.replayed:
            headers.append(REPLAYED)
        media = MEDIA_TYPES.get(request.response_format)
        await exchange.reply(200, reply.body, headers, media=JSON if media is None else media.encode())

    routes.add("POST", "/v1/audio/transcriptions", answer)


def transcriptions_quoter(transcriptions: Transcriptions) -> Quoter:
    """Return what quotes a sound by its length: `{"model": …, "seconds": …}`."""

    async def quote(principal: Principal, fields: dict[str, Any], _body_bytes: int, facts: CallFacts) -> Quote:
        body = checked(fields, SoundQuoteBody, instead=_INSTEAD)
        return transcriptions.quote(principal, body.model, math.ceil(body.seconds * 1000), facts)

    return quote


async def _request(exchange: Exchange) -> tuple[TranscriptionRequest, str]:
    """Return the call that a request asks for, with the options in its headers, and the names of fields that no engine
    takes, comma-separated. Raises `ApiError`."""
    try:
        form = await read_form(exchange, frozenset({"file"}), MAX_SOUND_BYTES)
    except RequestTooLarge:
        raise SoundTooLarge(param="file", limit=MAX_SOUND_BYTES) from None
    request, ignored = transcription_request(form)
    again = None
    if exchange.header(b"idempotency-key") is not None:
        # Boundaries are drawn anew for each request: what makes two the same is what is in them.
        sound = await asyncio.to_thread(hashlib.sha256, request.sound)
        again = repeatable(exchange, _encode(sorted(form.fields)) + sound.digest())
    return replace(request, max_cost_nusd=max_cost_nusd(exchange), repeatable=again), ignored


def transcription_request(form: Form) -> tuple[TranscriptionRequest, str]:
    """Return the call that OpenAI's form asks for, and the names of fields that no engine takes, comma-separated. Raises
    `InvalidValue` with the field's name, and `InvalidAudio`."""
    fields = [(_full(name), value) for name, value in form.fields if value or name == "model"]
    for name, times in Counter(name for name, _ in fields if name not in _LISTS).items():
        if times > 1 and (name in _READ or _PASSED.fullmatch(name)):
            raise InvalidValue(param=name, why=f"it is given {times} times. Send it once.")
    given: dict[str, Any] = {**dict(fields), **form.files}
    given.update((name, [value for each, value in fields if each == name]) for name in _LISTS)
    body = checked(given, TranscriptionBody, strict=False, instead=_INSTEAD)
    if body.stream and body.response_format not in _STREAMED:
        why = f"events come with the response_format {', '.join(_STREAMED)} only. Leave it out."
        raise InvalidValue(param="stream", why=why)
    sound = form.files.get("file", b"")
    found = sound_format(sound)
    if found is None:
        raise InvalidAudio(param="file", why="it is empty." if not sound else "its format is another one.")
    request = TranscriptionRequest(
        model=body.model,
        sound=sound,
        file_name=f"sound.{found.ending}",
        # Events are the same for both, and an engine that does not stream answers with what can be made into events.
        response_format="json" if body.stream and body.response_format == "text" else body.response_format,
        stream=body.stream,
        fields=tuple((name, value) for name, value in fields if _PASSED.fullmatch(name)),
    )
    return request, shown_names({name for name, _ in fields if name not in _READ and not _PASSED.fullmatch(name)})


def _full(name: str) -> str:
    """Return a field's name as OpenAI's own SDKs write it."""
    return f"{name}[]" if f"{name}[]" in _LISTS else name
