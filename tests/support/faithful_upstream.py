"""A server that speaks OpenAI's API as published and keeps, call by call, what it would bill.

What it says is decided in `faithful_chat`; here it is sent, whole or streamed, counted, delayed or made to fail: the next
calls by the server's own orders, one call by its `metadata` (`refuse`: "name=status …", `break_after`, `pause_s`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

from minitoolai.core.chat_stream import delta_texts
from minitoolai.core.tokens import count_text
from tests.support.faithful_chat import CONTEXT_TOKENS, Answer, Refusal, answers, cached_tokens, check, prompt_text
from tests.support.faithful_chat import prompt_tokens as count_prompt_tokens
from tests.support.faithful_embeddings import EMBEDDING_MODELS, embed
from tests.support.faithful_images import draw
from tests.support.faithful_speech import SPEECH_MODELS, speak
from tests.support.faithful_transcriptions import form_of, transcribe
from tests.support.faithful_transcriptions import reply as transcribed
from tests.support.faithful_transcriptions import usage as usage_of_sound

#: The key that it takes.
KEY = "sk-upstream-0123456789"
_HEAD = {"id": "chatcmpl-B5qoZsT8kFDNJK3UyGLiJmjv6Pp90", "created": 1740734359, "system_fingerprint": "fp_06737a9306"}
#: Bytes of a sound that are sent at once.
_PIECE_BYTES = 1024
_DATED = {"gpt-4o-mini": "gpt-4o-mini-2024-07-18", "gpt-4o": "gpt-4o-2024-08-06", "o4-mini": "o4-mini-2025-04-16"}


@dataclass
class Call:
    """One call that came in, and what the invoice will say of it."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    #: The status that was answered; 0 until it was.
    status: int = 0
    #: What is billed: OpenAI's `usage`. A stream whose caller left, or that broke, is billed the prompt and what was sent
    #: until then; a whole reply whose caller left before it was sent is not billed.
    billed: dict[str, Any] | None = None
    #: Completion tokens of a stream that were sent.
    sent_tokens: int = 0
    #: What they say: content, names and arguments of tool calls.
    sent_text: str = ""
    #: Whether the caller went before the reply had ended.
    left: bool = False
    #: Set when nothing more will change.
    ended: threading.Event = field(default_factory=threading.Event)

    def order(self, name: str, usual: Any) -> Any:
        """Return what the call's own `metadata` order, else what is usual."""
        return (self.body.get("metadata") or {}).get(name, usual)


class FaithfulUpstream:
    """The server."""

    def __init__(self, name: str = "openai") -> None:
        #: What a call's `metadata` calls it.
        self.name = name
        self.calls: list[Call] = []
        #: What the next calls are refused with, one after the other.
        self.refusals: list[Refusal] = []
        #: How many frames of a stream are sent before the connection breaks; None: all.
        self.break_after: int | None = None
        #: Said in place of the usual answer.
        self.text: str | None = None
        #: Seconds between two frames of a stream, or before a whole reply.
        self.pause_s = 0.0
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._prompts: dict[str, list[str]] = {}

    async def __aenter__(self) -> FaithfulUpstream:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_post("/v1/chat/completions", self._take)
        application.router.add_post("/v1/embeddings", self._take)
        application.router.add_post("/v1/images/generations", self._take)
        application.router.add_post("/v1/audio/transcriptions", self._take)
        application.router.add_post("/v1/audio/speech", self._take)
        application.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def calm(self) -> None:
        """Forget what was asked and every order to fail, wait or say something."""
        self.calls.clear()
        self.refusals.clear()
        self.break_after, self.text, self.pause_s = None, None, 0.0
        self._prompts.clear()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await (form_of(request) if request.content_type == "multipart/form-data" else request.json())
        call = Call(request.path, body, {name.lower(): value for name, value in request.headers.items()})
        self.calls.append(call)
        try:
            if self.refusals:
                raise self.refusals.pop(0)
            _refuse(call.order("refuse", ""), self.name)
            if call.headers.get("authorization") != f"Bearer {KEY}":
                raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
            if request.path.endswith("/embeddings"):
                embedded = embed(call.body)
                call.status, call.billed = 200, embedded["usage"]
                return web.json_response(embedded)
            if request.path.endswith("/images/generations"):
                drawn = draw(call.body)
                call.status = 200
                return web.json_response(drawn)
            if request.path.endswith("/audio/transcriptions"):
                found = transcribe(call.body)
                call.status, call.billed = 200, usage_of_sound(call.body, found["duration"])
                return await transcribed(request, call.body, found, self.pause_s)
            if request.path.endswith("/audio/speech"):
                return await self._speak(request, call)
            return await self._chat(request, call)
        except Refusal as refusal:
            call.status = refusal.status
            headers = {"retry-after": refusal.retry_after} if refusal.retry_after else {}
            return web.json_response(refusal.body, status=refusal.status, headers=headers)
        except (asyncio.CancelledError, ConnectionError):
            call.left = True
            raise
        finally:
            call.ended.set()

    async def _chat(self, request: web.Request, call: Call) -> web.StreamResponse:
        body = call.body
        check(body)
        choices = answers(body, self.text)
        earlier = self._prompts.setdefault(body["model"], [])
        cached = cached_tokens(body, earlier)
        earlier.append(prompt_text(body))
        prompt = count_prompt_tokens(body)
        reasoning = sum(choice.reasoning_tokens for choice in choices)
        usage = usage_of(prompt, sum(choice.completion_tokens for choice in choices), cached=cached, reasoning=reasoning)
        call.status = 200
        tier = body.get("service_tier") if body.get("service_tier") not in (None, "auto") else "default"
        head = {**_HEAD, "model": _DATED.get(body["model"], body["model"]), "service_tier": tier}
        if body.get("stream"):
            call.billed = usage_of(prompt, reasoning, cached=cached, reasoning=reasoning)
            return await self._stream(request, call, head, choices, usage)
        await asyncio.sleep(float(call.order("pause_s", self.pause_s)))
        call.billed = usage
        call.sent_tokens = usage["completion_tokens"]
        shown = [whole_choice(index, choice, body) for index, choice in enumerate(choices)]
        return web.json_response({**head, "object": "chat.completion", "choices": shown, "usage": usage})

    async def _stream(
        self, request: web.Request, call: Call, head: dict[str, Any], choices: list[Answer], usage: dict[str, Any]
    ) -> web.StreamResponse:
        """Send the frames; what is billed grows with each."""
        reply = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await reply.prepare(request)
        with_usage = bool((call.body.get("stream_options") or {}).get("include_usage"))
        assert call.billed is not None
        break_after = call.order("break_after", self.break_after)
        for number, (choice, tokens) in enumerate(_frames(choices, call.body)):
            if break_after is not None and number == int(break_after):
                assert request.transport is not None
                request.transport.close()
                return reply
            chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
            await reply.write(_event({**chunk, "usage": None} if with_usage else chunk))
            call.sent_tokens += tokens
            call.sent_text += "".join(delta_texts(chunk))
            call.billed["completion_tokens"] += tokens
            call.billed["total_tokens"] += tokens
            await asyncio.sleep(float(call.order("pause_s", self.pause_s)))
        call.billed = usage
        if with_usage:
            await reply.write(_event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
        await reply.write(b"data: [DONE]\n\n")
        await reply.write_eof()
        return reply

    async def _speak(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Send the sound in pieces; `break_after`: so many of them."""
        sound, media = speak(call.body)
        call.status, call.billed = 200, {"characters": len(call.body["input"])}
        reply = web.StreamResponse(headers={"content-type": media})
        await reply.prepare(request)
        for number, at in enumerate(range(0, len(sound), _PIECE_BYTES)):
            if number == self.break_after:
                assert request.transport is not None
                request.transport.close()
                return reply
            await reply.write(sound[at : at + _PIECE_BYTES])
            await asyncio.sleep(self.pause_s)
        await reply.write_eof()
        return reply

    async def _models(self, request: web.Request) -> web.Response:
        names = [*CONTEXT_TOKENS, *EMBEDDING_MODELS, *SPEECH_MODELS]
        data = [{"id": name, "object": "model", "created": 1686935002, "owned_by": "openai"} for name in names]
        return web.json_response({"object": "list", "data": data})


def _refuse(orders: str, name: str) -> None:
    """Raise the `Refusal` that a call orders of the server of that name."""
    for order in orders.split():
        who, _, status = order.partition("=")
        if who == name:
            raise Refusal(int(status), "As ordered.", kind="server_error", retry_after="1")


def usage_of(prompt_tokens: int, completion_tokens: int, *, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """Return a `usage` object as OpenAI sends it."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def whole_choice(index: int, answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Return one choice of a whole reply."""
    text = None if answer.calls else "".join(answer.tokens)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if answer.calls:
        message["tool_calls"] = [call.whole for call in answer.calls]
    shown = _logprobs(answer.tokens, body) if text is not None else None
    return {"index": index, "message": message, "logprobs": shown, "finish_reason": answer.finish_reason}


def _logprobs(tokens: list[str], body: dict[str, Any]) -> dict[str, Any] | None:
    if not body.get("logprobs"):
        return None
    return {"content": [_logprob(token, body.get("top_logprobs") or 0) for token in tokens], "refusal": None}


def _logprob(token: str, most: int) -> dict[str, Any]:
    said = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    other = {"token": " or", "logprob": -3.5, "bytes": list(b" or")}
    return {**said, "top_logprobs": [said, other][:most]}


def _frames(choices: list[Answer], body: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the choices of a stream, one delta each, with the tokens that each carries."""
    for index, answer in enumerate(choices):
        content = None if answer.calls else ""
        yield _delta(index, {"role": "assistant", "content": content, "refusal": None}), 0
        for number, call in enumerate(answer.calls):
            empty = {"name": call.name, "arguments": ""}
            begun = {"index": number, "id": call.id, "type": "function", "function": empty}
            yield _delta(index, {"tool_calls": [begun]}), count_text(call.name)
            for token in call.arguments:
                yield _delta(index, {"tool_calls": [{"index": number, "function": {"arguments": token}}]}), 1
        for token in answer.tokens:
            yield {**_delta(index, {"content": token}), "logprobs": _logprobs([token], body)}, 1
        yield {**_delta(index, {}), "finish_reason": answer.finish_reason}, 0


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


@contextlib.contextmanager
def faithful_upstream() -> Iterator[FaithfulUpstream]:
    """The server in a thread of its own, for tests that are not asynchronous."""
    loop = asyncio.new_event_loop()
    upstream = FaithfulUpstream()
    thread = threading.Thread(target=loop.run_forever, name="faithful upstream", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(30)
    try:
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(None, None, None), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
