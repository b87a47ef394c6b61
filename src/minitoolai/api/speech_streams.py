"""The two forms of speech that is sent as it is made: the bytes of the sound, and OpenAI's events (`stream_format`)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from minitoolai.api.chat_request import shown_names
from minitoolai.core.errors import ApiError
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.core.speech import MEDIA_TYPES, AudioFormat
from minitoolai.core.sse import event
from minitoolai.edge.exchange import EventStream, Exchange, Headers
from minitoolai.edge.sound_stream import SoundStream

_IGNORED = b"x-minitoolai-ignored"


class SpokenBytes(SoundStream):
    """The sound itself (`services.speech_call.SpeechSink`). One that breaks off is cut: there is no place for an error."""

    def __init__(self, exchange: Exchange, sound_format: AudioFormat, ignored: Iterable[str]) -> None:
        super().__init__(exchange, MEDIA_TYPES[sound_format].encode(), ignored_headers(ignored))
        self._ignored = set(ignored)

    def begins(self, ignored: frozenset[str]) -> None:
        """See `services.speech_call.SpeechSink`."""
        _add_ignored(self._headers, self._ignored | ignored)

    async def speak(self, sound: bytes) -> None:
        """See `services.speech_call.SpeechSink`."""
        await self.write(sound)

    async def finish(self, characters: int, cost_nusd: int) -> None:
        """Nothing: a sound has no place for its cost."""

    async def fail(self, error: ApiError) -> None:
        """See `services.speech_call.SpeechSink`."""
        raise error


class SpokenEvents(EventStream):
    """OpenAI's events (`services.speech_call.SpeechSink`)."""

    def __init__(self, exchange: Exchange, ignored: Iterable[str]) -> None:
        super().__init__(exchange, ignored_headers(ignored))
        self._ignored = set(ignored)

    def begins(self, ignored: frozenset[str]) -> None:
        """See `services.speech_call.SpeechSink`."""
        _add_ignored(self._headers, self._ignored | ignored)

    async def speak(self, sound: bytes) -> None:
        """See `services.speech_call.SpeechSink`."""
        await self.write(delta(sound))

    async def finish(self, characters: int, cost_nusd: int) -> None:
        """See `services.speech_call.SpeechSink`."""
        await self.write(done(characters, cost_nusd))

    async def fail(self, error: ApiError) -> None:
        """See `services.speech_call.SpeechSink`."""
        await self.write(event(error.shown()))


def delta(sound: bytes) -> bytes:
    """Return the event of a part of a sound."""
    return event({"type": "speech.audio.delta", "audio": b64encode(sound).decode()})


def done(characters: int, cost_nusd: int) -> bytes:
    """Return the event that ends a complete sound. OpenAI counts tokens there: speech has none here."""
    usage: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    usage |= {"characters": characters, "cost": cost_nusd / NUSD_PER_USD}
    return event({"type": "speech.audio.done", "usage": usage})


def ignored_headers(names: Iterable[str]) -> Headers:
    """Return the header that names fields of a call that change nothing; none where there is none."""
    shown = shown_names(names)
    return [(_IGNORED, shown.encode())] if shown else []


def _add_ignored(headers: Headers, names: Iterable[str]) -> None:
    """Let the header name these fields."""
    headers[:] = [header for header in headers if header[0] != _IGNORED] + ignored_headers(names)
