"""Speech: `POST /api/texttospeech/`, OpenAI's `POST /v1/audio/speech`, and the voices (docs/reference/speech.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from minitoolai.api.bodies import decode_object
from minitoolai.api.chat_request import shown_names
from minitoolai.api.job_routes import PATHS, creation_error, tell_made
from minitoolai.api.paid import max_cost_nusd, repeatable
from minitoolai.api.queries import Query
from minitoolai.api.quotes import Quoter
from minitoolai.api.speech_bodies import OPENAI_NAMES, asked_speech, language_tag, speech_call, text_to_speech_call
from minitoolai.api.speech_streams import SpokenBytes, SpokenEvents, delta, done, ignored_headers
from minitoolai.core.access import Principal
from minitoolai.core.errors import EngineRefusedRequest, InvalidValue
from minitoolai.core.jobs import JobKind
from minitoolai.core.quotes import Quote
from minitoolai.core.records import CallFacts
from minitoolai.core.speech import MAX_STREAMED_CHARACTERS, MEDIA_TYPES, AudioFormat
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import EVENT_STREAM, REPLAYED, Exchange
from minitoolai.edge.statuses import rate_headers
from minitoolai.services.access import Access
from minitoolai.services.asked_speech import AskedSpeech
from minitoolai.services.kept_speech import Respoken
from minitoolai.services.speech import Speech
from minitoolai.services.speech_jobs import SpeechJobs
from minitoolai.services.speech_voices import ListedVoice, Voices

PATH = PATHS[JobKind.SPEECH]
OPENAI_PATH = "/v1/audio/speech"
VOICES_PATH = "/v1/audio/voices"
#: Of a sound that is given again in events, the bytes of each.
EVENT_BYTES = 64 * 1024

#: What we call fields of `SpeechRequest`: the same.
_OURS: Mapping[str, str] = {}

_encode = msgspec.json.Encoder().encode


def add_speech(
    routes: Routes, access: Access, speech: Speech, voices: Voices, long: SpeechJobs, *, max_body_bytes: int
) -> None:
    """Add the routes; `long`: where texts become jobs that are too long to be waited for."""

    async def ours(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        asked, ignored = text_to_speech_call(decode_object(raw))
        asked = _on_terms(exchange, asked, raw)
        if asked.characters > MAX_STREAMED_CHARACTERS:
            await speech.check(principal, asked, exchange.facts)
            made = await long.create(principal, exchange.call_id, asked, exchange.facts)
            await tell_made(exchange, made, shown_names(ignored))
            return
        await _speak(exchange, speech, principal, asked, ignored, names=_OURS)

    async def openais(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        asked, events, ignored = speech_call(decode_object(raw))
        asked = _on_terms(exchange, asked, raw)
        await _speak(exchange, speech, principal, asked, ignored, names=OPENAI_NAMES, events=events)

    async def listed(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        query = Query(exchange, ("model", "language"))
        found = await voices.listed(principal, query.text("model"), language_tag(query.text("language")))
        await exchange.reply(200, _encode({"object": "list", "data": [_shown(each) for each in found]}))

    routes.add("POST", PATH, ours)
    routes.add("POST", OPENAI_PATH, openais)
    routes.add("GET", VOICES_PATH, listed)
    routes.before[PATH] = _speak_of_creation


def speech_quoter(speech: Speech) -> Quoter:
    """Return what quotes the bodies of `POST /api/texttospeech/` and `POST /v1/audio/speech`."""

    async def quote(principal: Principal, fields: dict[str, Any], _body_bytes: int, facts: CallFacts) -> Quote:
        names = OPENAI_NAMES if "input" in fields else _OURS
        with _named(names):
            return speech.quote(principal, asked_speech(fields), facts)

    return quote


async def _speak(
    exchange: Exchange,
    speech: Speech,
    principal: Principal,
    asked: AskedSpeech,
    ignored: Iterable[str],
    *,
    names: Mapping[str, str],
    events: bool = False,
) -> None:
    """Speak to the caller while the sound is made, or give an earlier sound again."""
    sink = SpokenEvents(exchange, ignored) if events else SpokenBytes(exchange, asked.speech.format, ignored)
    with _named(names):
        earlier = await speech.speak(principal, exchange.call_id, asked, sink, exchange.facts)
    if earlier is None:
        await sink.end()
    else:
        await _again(exchange, earlier, asked.speech.format, ignored, events=events)


async def _again(
    exchange: Exchange, earlier: Respoken, sound_format: AudioFormat, ignored: Iterable[str], *, events: bool
) -> None:
    headers = [*ignored_headers(ignored), *rate_headers(earlier.rates), (b"cache-control", b"no-store"), REPLAYED]
    if events:
        # Megabytes of base64 would hold up other calls.
        body = await asyncio.to_thread(_all_events, earlier)
        await exchange.reply(200, body, headers, media=EVENT_STREAM)
    else:
        await exchange.reply(200, earlier.sound, headers, media=MEDIA_TYPES[sound_format].encode())


def _all_events(earlier: Respoken) -> bytes:
    sound = earlier.sound
    parts = [delta(sound[at : at + EVENT_BYTES]) for at in range(0, len(sound), EVENT_BYTES)]
    return b"".join([*parts, done(earlier.characters, earlier.cost_nusd)])


def _on_terms(exchange: Exchange, asked: AskedSpeech, raw: bytes) -> AskedSpeech:
    """Return the call with what its headers say; `raw`: its body as it came."""
    return replace(asked, max_cost_nusd=max_cost_nusd(exchange), repeatable=repeatable(exchange, raw))


@contextlib.contextmanager
def _named(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors name fields as their caller does: engines call them as `SpeechRequest` does."""
    try:
        yield
    except (InvalidValue, EngineRefusedRequest) as error:
        name = names.get(error.param or "")
        if name is None:
            raise
        if isinstance(error, InvalidValue):
            raise InvalidValue(param=name, why=error.facts["why"]) from error
        raise EngineRefusedRequest(param=name, model=error.facts["model"], where=f": '{name}'") from error


def _speak_of_creation(exchange: Exchange) -> None:
    """Let errors have the shape of the seed's reply to a new job, OpenAI's within it: a long text becomes one."""
    exchange.error_shape = creation_error


def _shown(listed: ListedVoice) -> dict[str, Any]:
    voice = listed.voice
    return {
        "id": voice.id,
        "object": "voice",
        "name": voice.name,
        "language": voice.language,
        "gender": voice.gender,
        "models": listed.models,
    }
