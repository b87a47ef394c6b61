"""Speech at any server that speaks OpenAI's audio API: OpenAI, LocalAI, Kokoro-FastAPI and the like.

Language and pitch are not known there: the language is heard from the text, the pitch is the voice's own. A text longer
than such a server takes is spoken in parts, in the formats whose parts can be put together (docs/howto/upstream-speech.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.errors import EngineRefusedRequest, InvalidValue, UpstreamError, UpstreamTimeout
from minitoolai.core.inference import Usage
from minitoolai.core.sentences import sentences
from minitoolai.core.speech import (
    DEFAULT_PITCH,
    DEFAULT_SPEED,
    MAX_STREAMED_CHARACTERS,
    OPENAI_VOICES,
    AudioFormat,
    SpeechRequest,
    Voice,
)
from minitoolai.core.speech_header import HEAD_BYTES, begins_as
from minitoolai.engines.openai_upstream import OpenAIReply, OpenAIUpstream
from minitoolai.services.speech_voices import NAMED_VOICES

#: Where the caller names none: such servers have no voice of their own choice.
DEFAULT_VOICE = OPENAI_VOICES[0]
#: Formats whose sounds may follow each other in one file: frames of MPEG audio and of ADTS, raw samples.
JOINED_FORMATS: tuple[AudioFormat, ...] = ("mp3", "aac", "pcm")
#: What `SpeechRequest` calls the fields of such a server.
_OURS = {"input": "text", "response_format": "format"}

log = logging.getLogger(__name__)


class OpenAISpeech:
    """One upstream that speaks (`services.speech_ports.SpeechEngine`)."""

    ignores = frozenset({"language"})

    def __init__(self, upstream: OpenAIUpstream, parallel: int) -> None:
        self.name = upstream.name
        self.parallel = parallel
        self.between_bytes_s = upstream.settings.between_bytes_s
        self.total_s = upstream.settings.total_s
        self._upstream = upstream

    def check(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Raise `InvalidValue` for a pitch, for SSML, and for a long text in a format that has no parts."""
        if request.pitch != DEFAULT_PITCH:
            raise InvalidValue(param="pitch", why=f"the model '{model.id}' has one pitch. Leave it out.")
        if request.ssml:
            raise InvalidValue(param="ssml", why=f"the model '{model.id}' reads plain text only. Leave it out.")
        if len(request.text) > MAX_STREAMED_CHARACTERS and request.format not in JOINED_FORMATS:
            why = f"the model '{model.id}' speaks more than {MAX_STREAMED_CHARACTERS} characters as mp3, aac or pcm only."
            raise InvalidValue(param="format", why=why)

    async def prove(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Nothing: it charges for what it begins."""

    async def voices(self, model: SpeechModel) -> Sequence[Voice]:
        """Return OpenAI's voices: such a server tells nobody of others that it may have."""
        return NAMED_VOICES

    async def open(self, model: SpeechModel, request: SpeechRequest, *, urgent: bool = True) -> OpenAISound:
        """Send the call; return its sound once it begins. See `speech_ports.SpeechEngine.open`."""
        self.check(model, request)
        short = len(request.text) <= MAX_STREAMED_CHARACTERS
        parts = [(request.text, len(request.text))] if short else _parts(request.text)
        return OpenAISound(self, model, request, parts, await self.part(model, request, parts[0][0]))

    async def part(self, model: SpeechModel, request: SpeechRequest, text: str) -> Part:
        """Return the sound of the call's text, or of a part of it, once it begins. Errors: as `open`."""
        try:
            reply = await self._upstream.post("/audio/speech", model, _body(model, request, text))
        except EngineRefusedRequest as refusal:
            raise _in_our_words(refusal, model) from refusal
        try:
            async with asyncio.timeout(self.between_bytes_s):
                head = await self._head(model, request, reply)
        except TimeoutError as error:
            reply.close()
            raise UpstreamTimeout(model=model.id) from error
        except BaseException:
            reply.close()
            raise
        return Part(reply, head)

    async def _head(self, model: SpeechModel, request: SpeechRequest, reply: OpenAIReply) -> bytes:
        """Return the first bytes of a sound. Raises `UpstreamError` where it is none of the asked format."""
        head = b""
        while len(head) < HEAD_BYTES and (data := await reply.read()):
            head += data
        kind = reply.media_type
        sounds = kind.startswith("audio/") or kind == "application/octet-stream"
        if not sounds or not begins_as(request.format, head[:HEAD_BYTES]):
            what = kind if not sounds else "nothing" if not head else "what is none"
            log.error("engine %s answered for model %s with %s in place of %s", self.name, model.id, what, request.format)
            raise UpstreamError(model=model.id)
        return head


class Part:
    """The sound of one call upstream."""

    __slots__ = ("_head", "_reply")

    def __init__(self, reply: OpenAIReply, head: bytes) -> None:
        self._reply = reply
        #: What was read already.
        self._head = head

    async def read(self) -> bytes:
        """Return the next bytes, b"" at a clean end. Raises `UpstreamError`."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return await self._reply.read()

    def close(self) -> None:
        """Let go of it; one that has not ended is cut off."""
        self._reply.close()


class OpenAISound:
    """The sound of a text, part after part (`services.speech_ports.SpeechReply`)."""

    __slots__ = ("_at", "_engine", "_model", "_part", "_parts", "_request")

    def __init__(
        self, engine: OpenAISpeech, model: SpeechModel, request: SpeechRequest, parts: Sequence[tuple[str, int]], first: Part
    ) -> None:
        """`parts`: each with the characters of the text up to its end."""
        self._engine = engine
        self._model = model
        self._request = request
        self._parts = parts
        self._part = first
        #: Parts that were read to their end.
        self._at = 0

    @property
    def spoken(self) -> int | None:
        """Characters of the parts that were read to their end; None where there is one only: nobody says how far it is."""
        if len(self._parts) == 1:
            return None
        return self._parts[self._at - 1][1] if self._at else 0

    async def read(self) -> bytes:
        """Return the next bytes, b"" at a clean end. Errors: as `OpenAISpeech.open`."""
        while self._at < len(self._parts):
            if data := await self._part.read():
                return data
            self._part.close()
            self._at += 1
            if self._at < len(self._parts):
                self._part = await self._engine.part(self._model, self._request, self._parts[self._at][0])
        return b""

    def counted(self) -> Usage | None:
        """Nothing: speech is not priced by tokens."""
        return None

    def close(self) -> None:
        """Let go of the sound; one that has not ended is cut off."""
        self._part.close()


def _body(model: SpeechModel, request: SpeechRequest, text: str) -> dict[str, Any]:
    """Return OpenAI's body, without what is as it is there by itself: not every server knows every field."""
    body: dict[str, Any] = {
        "model": model.upstream_id,
        "input": text,
        "voice": request.voice or DEFAULT_VOICE,
        "response_format": request.format,
    }
    if request.speed != DEFAULT_SPEED:
        body["speed"] = request.speed
    if request.instructions is not None:
        body["instructions"] = request.instructions
    return body


def _parts(text: str) -> list[tuple[str, int]]:
    """Return a long text in parts that such a server takes, each of whole sentences where those are not longer."""
    parts: list[tuple[str, int]] = []
    begins = at = ends = len(text) - len(text.lstrip())
    for sentence in sentences(text, MAX_STREAMED_CHARACTERS):
        if at + len(sentence.text) - begins > MAX_STREAMED_CHARACTERS:
            parts.append((text[begins:ends], at))
            begins = at
        ends, at = at + len(sentence.text), sentence.ends_at
    return [*parts, (text[begins:ends], len(text))]


def _in_our_words(refusal: EngineRefusedRequest, model: SpeechModel) -> EngineRefusedRequest:
    """Return an upstream's refusal with the field at fault called as `SpeechRequest` calls it."""
    param = _OURS.get(refusal.param or "", refusal.param)
    return EngineRefusedRequest(param=param, model=model.id, where=f": '{param}'" if param else "")
