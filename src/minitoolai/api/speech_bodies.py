"""Bodies that ask for speech, ours and OpenAI's: their schemas, and the call that each is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from minitoolai.api.bodies import checked
from minitoolai.core.errors import InvalidValue
from minitoolai.core.speech import (
    DEFAULT_FORMAT,
    DEFAULT_PITCH,
    DEFAULT_SPEED,
    MAX_INSTRUCTIONS_CHARACTERS,
    MAX_JOB_CHARACTERS,
    MAX_LANGUAGE_CHARACTERS,
    MAX_PITCH,
    MAX_SPEED,
    MAX_STREAMED_CHARACTERS,
    MAX_VOICE_CHARACTERS,
    MIN_PITCH,
    MIN_SPEED,
    AudioFormat,
    SpeechRequest,
)
from minitoolai.core.ssml import BadSsml, checked_ssml, plain_text
from minitoolai.core.webhooks import MAX_URL_CHARACTERS, check_webhook_url
from minitoolai.services.asked_speech import AskedSpeech

Model = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
VoiceName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_VOICE_CHARACTERS)]
Speed = Annotated[float, msgspec.Meta(ge=MIN_SPEED, le=MAX_SPEED)]
Pitch = Annotated[float, msgspec.Meta(ge=MIN_PITCH, le=MAX_PITCH)]
#: A language tag by its form (BCP 47, RFC 5646 §2.1).
TAG = r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*"
Language = Annotated[str, msgspec.Meta(pattern=rf"^{TAG}(?!\n)$", max_length=MAX_LANGUAGE_CHARACTERS)]

_FORMATS = "Send mp3, opus, aac, flac, wav or pcm."
#: What each field takes, for callers that sent something else.
_INSTEAD = {
    "model": "Name a speech model of GET /v1/models.",
    "text": f"Send 1 to {MAX_JOB_CHARACTERS:,} characters; more than {MAX_STREAMED_CHARACTERS} become a job.",
    "input": f"Send 1 to {MAX_STREAMED_CHARACTERS} characters; POST /api/texttospeech/ takes up to {MAX_JOB_CHARACTERS:,}.",
    r"voice(\.id)?": "Name a voice of GET /v1/audio/voices, or leave it out.",
    "speed": f"Send a number from {MIN_SPEED:g} to {MAX_SPEED:g}.",
    "pitch": f"Send a number from {MIN_PITCH:g} to {MAX_PITCH:g}.",
    "format|response_format": _FORMATS,
    "language": 'Send a language tag like "pl" or "en-GB", or leave it out.',
    "ssml": "Send true or false.",
    "instructions": f"Send up to {MAX_INSTRUCTIONS_CHARACTERS} characters, or leave it out.",
    "stream_format": 'Send "audio" or "sse".',
    "webhook_url": f"Send an https URL of at most {MAX_URL_CHARACTERS} characters, or leave it out.",
}
#: What OpenAI calls fields of `SpeechRequest`; the others are called the same.
OPENAI_NAMES: Mapping[str, str] = {"text": "input", "format": "response_format"}
#: Characters that nobody can say, which some engines stop at: they are read as spaces. Tabs and ends of lines are not
#: among them.
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)], " ")
#: Kinds of characters that nobody hears by themselves: spaces, controls, marks that change another character, and what
#: has no meaning that anybody agreed on.
_NOTHING = frozenset({"Cc", "Cf", "Cn", "Co", "Me", "Mn", "Zl", "Zp", "Zs"})


class VoiceId(msgspec.Struct):
    """A voice, as OpenAI's SDKs may name it."""

    id: VoiceName


class TextToSpeechBody(msgspec.Struct):
    """The body of `POST /api/texttospeech/`."""

    model: Model
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_JOB_CHARACTERS)]
    voice: VoiceName | VoiceId | None = None
    speed: Speed | None = None
    format: AudioFormat | None = None
    language: Language | None = None
    pitch: Pitch | None = None
    ssml: bool | None = None
    webhook_url: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_URL_CHARACTERS)] | None = None


class SpeechBody(msgspec.Struct):
    """The body of `POST /v1/audio/speech`: OpenAI's fields, and ours beside them."""

    model: Model
    input: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_STREAMED_CHARACTERS)]
    voice: VoiceName | VoiceId | None = None
    speed: Speed | None = None
    response_format: AudioFormat | None = None
    instructions: Annotated[str, msgspec.Meta(max_length=MAX_INSTRUCTIONS_CHARACTERS)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    language: Language | None = None
    pitch: Pitch | None = None
    ssml: bool | None = None


def text_to_speech_call(fields: dict[str, Any]) -> tuple[AskedSpeech, set[str]]:
    """Return the call that our body `fields` is, and the names of fields that change nothing.

    Raises `InvalidValue` with the field's name.
    """
    body = checked(fields, TextToSpeechBody, instead=_INSTEAD)
    if body.webhook_url is not None:
        check_webhook_url(body.webhook_url)
    speech = _speech(body, "text", body.text, body.format)
    ignored = fields.keys() - set(TextToSpeechBody.__struct_encode_fields__)
    if body.webhook_url is not None and len(body.text) <= MAX_STREAMED_CHARACTERS:
        ignored.add("webhook_url")  # nothing is left to tell once it is spoken
    return AskedSpeech(body.model, speech, len(body.text), body.webhook_url), ignored


def speech_call(fields: dict[str, Any]) -> tuple[AskedSpeech, bool, set[str]]:
    """Return the call that OpenAI's body `fields` is, whether it is to be answered in events, and the names of fields that
    change nothing. Raises as `text_to_speech_call`."""
    body = checked(fields, SpeechBody, instead=_INSTEAD)
    speech = _speech(body, "input", body.input, body.response_format, body.instructions or None)
    ignored = {name for name in fields.keys() - set(SpeechBody.__struct_encode_fields__) if fields[name] is not None}
    return AskedSpeech(body.model, speech, len(body.input)), body.stream_format == "sse", ignored


def asked_speech(fields: dict[str, Any]) -> AskedSpeech:
    """Return the call that a body of either kind is, for those who only ask what it costs. Raises `InvalidValue`."""
    return speech_call(fields)[0] if "input" in fields else text_to_speech_call(fields)[0]


def language_tag(text: str | None) -> str | None:
    """Return a language tag of a query. Raises `InvalidValue` for what has not the form of one."""
    if text is not None and (len(text) > MAX_LANGUAGE_CHARACTERS or not re.fullmatch(TAG, text)):
        raise InvalidValue(param="language", why='it is a language tag like "pl" or "en-GB".')
    return text


def _speech(
    body: TextToSpeechBody | SpeechBody,
    field: str,
    text: str,
    sound_format: AudioFormat | None,
    instructions: str | None = None,
) -> SpeechRequest:
    """Return what is to be spoken; `field`: the name of its text."""
    ssml = body.ssml or False
    return SpeechRequest(
        text=_marked_up(field, text) if ssml else _plain(field, text),
        voice=body.voice.id if isinstance(body.voice, VoiceId) else body.voice,
        language=body.language,
        speed=DEFAULT_SPEED if body.speed is None else body.speed,
        pitch=DEFAULT_PITCH if body.pitch is None else body.pitch,
        format=sound_format or DEFAULT_FORMAT,
        ssml=ssml,
        instructions=instructions,
    )


def _plain(field: str, text: str) -> str:
    """Return a text as engines are given it, of the same length. Raises `InvalidValue` where there is nothing to say."""
    if all(unicodedata.category(character) in _NOTHING for character in text):
        raise InvalidValue(param=field, why="there is nothing in it to say. Send some words.")
    return text.translate(_CONTROLS)


def _marked_up(field: str, text: str) -> str:
    """Return checked SSML. Raises `InvalidValue` for what is none, or none that is spoken."""
    try:
        marked_up = checked_ssml(text)
    except BadSsml as error:
        raise InvalidValue(param=field, why=str(error)) from None
    _plain(field, plain_text(marked_up))
    if len(marked_up) > MAX_JOB_CHARACTERS:
        raise InvalidValue(param=field, why="it is too long once it is written out. Send it in parts.")
    return marked_up
