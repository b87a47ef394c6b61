"""A server that speaks OpenAI's chat and embeddings, as faithful as its published examples, and does as it is told.

It keeps what it was asked and when each caller left, so that a test can hold the gateway to both.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.support.faithful_chat import Refusal
from tests.support.faithful_speech import speak
from tests.support.faithful_transcriptions import form_of, transcribe
from tests.support.faithful_transcriptions import reply as transcribed
from tests.support.faithful_values import as_base64
from tests.support.pictures import picture

Handler = Callable[[web.Request, "Asked"], Awaitable[web.StreamResponse]]

WORDS = ["The", " largest", " U.S.", " state", " by", " area", " is", " Alaska", "."]


@dataclass
class Asked:
    """One call that came in."""

    body: dict[str, Any]
    headers: dict[str, str]
    #: Set when the connection of the call was closed before its reply had ended.
    left: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set when the whole reply was sent.
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Upstream:
    """The server. Set `handler` to change what it does; by default it answers as OpenAI would."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.handler: Handler = self.answer
        #: Seconds between two chunks of a stream.
        self.pause_s = 0.0
        self.words = WORDS
        self.prompt_tokens = 17
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Upstream:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_post("/v1/chat/completions", self._take)
        application.router.add_post("/v1/embeddings", self._take)
        application.router.add_post("/v1/images/generations", self._take)
        application.router.add_post("/v1/audio/transcriptions", self._take)
        application.router.add_post("/v1/audio/speech", self._take)
        application.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def usage(self) -> dict[str, Any]:
        """The usage of a whole answer."""
        return usage(self.prompt_tokens, len(self.words))

    async def answer(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """Answer as OpenAI would."""
        if request.path.endswith("/embeddings"):
            return web.json_response(embeddings(asked.body, self.prompt_tokens))
        if request.path.endswith("/images/generations"):
            return web.json_response(image(asked.body))
        if request.path.endswith("/audio/speech"):
            try:
                sound, media = speak(asked.body)
            except Refusal as refusal:
                return web.json_response(refusal.body, status=refusal.status)
            return web.Response(body=sound, content_type=media)
        if request.path.endswith("/audio/transcriptions"):
            return await transcribed(request, asked.body, transcribe(asked.body), self.pause_s)
        if asked.body.get("stream"):
            return await self.stream(request, asked)
        await asyncio.sleep(self.pause_s)
        return web.json_response(completion("".join(self.words), self.usage))

    async def stream(self, request: web.Request, asked: Asked, frames: list[bytes] | None = None) -> web.StreamResponse:
        """Send `frames` (default: a whole answer), pausing between them."""
        reply = await self.begin(request)
        for frame in self.frames(asked) if frames is None else frames:
            await reply.write(frame)
            await asyncio.sleep(self.pause_s)
        await reply.write_eof()
        return reply

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Send the headers of a stream."""
        reply = web.StreamResponse(headers={"content-type": "text/event-stream", "x-upstream-secret": "canary"})
        await reply.prepare(request)
        return reply

    def frames(self, asked: Asked) -> list[bytes]:
        """Return the frames of a whole answer."""
        parts = [chunk({"role": "assistant", "content": "", "refusal": None})]
        parts += [chunk({"content": word}) for word in self.words]
        parts.append(chunk({}, finish_reason="stop"))
        if (asked.body.get("stream_options") or {}).get("include_usage"):
            parts.append(usage_frame(self.usage))
        return [*parts, b"data: [DONE]\n\n"]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await (form_of(request) if request.content_type == "multipart/form-data" else request.json())
        asked = Asked(body, {name.lower(): value for name, value in request.headers.items()})
        self.asked.append(asked)
        try:
            reply = await self.handler(request, asked)
        except (asyncio.CancelledError, ConnectionError):
            asked.left.set()
            raise
        asked.answered.set()
        return reply

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """Return a `usage` object as OpenAI sends it."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


_HEAD = {
    "id": "chatcmpl-B5qoZsT8kFDNJK3UyGLiJmjv6Pp90", "created": 1740734359, "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default", "system_fingerprint": "fp_06737a9306",
}  # fmt: skip


def embeddings(body: dict[str, Any], tokens: int) -> dict[str, Any]:
    """Return a reply with a vector of three numbers for each text."""
    given = body["input"]
    texts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    numbers = [[0.25, -1.5, at] for at in range(len(texts))]
    coded = [as_base64(each) for each in numbers] if body.get("encoding_format") == "base64" else numbers
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(coded)]
    shown = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"], "usage": shown}


def image(body: dict[str, Any]) -> dict[str, Any]:
    """Return a reply with a picture of the asked size."""
    width, _, height = body["size"].partition("x")
    return {"created": 1740734359, "data": [{"b64_json": b64encode(picture(size=(int(width), int(height)))).decode()}]}


def chunk(delta: dict[str, Any], *, finish_reason: str | None = None, index: int = 0) -> bytes:
    """Return one frame with a delta."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return frame({**_HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": None})


def usage_frame(shown: dict[str, Any]) -> bytes:
    """Return the frame with the usage."""
    return frame({**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": shown})


def frame(data: dict[str, Any]) -> bytes:
    """Return one frame with any data."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def error_beside_choices() -> bytes:
    """Return one frame with an error that came after the reply had begun, as OpenRouter sends it."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    error = {"code": 502, "message": "canary", "metadata": {"provider_name": "canary"}}
    return frame({**_HEAD, "object": "chat.completion.chunk", "choices": [choice], "error": error})


def completion(text: str, shown: dict[str, Any] | None) -> dict[str, Any]:
    """Return a whole reply."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], **({"usage": shown} if shown else {})}
