"""Chat at a llama.cpp child (`children/llama`), with what its server needs to be held exactly and cancelled at once.

It notices a caller that left only when it writes, so it is always asked for a stream with progress, and whole replies
are put together here: cancelled, it stops after one batch (7 to 55 ms; 600 to 960 ms for its own whole replies).
After a stream it closes the connection without a word, so none is used twice. With `n` above 1 it reports one
choice's tokens only, so that is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import msgspec

from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import InvalidValue, NoEngine, UpstreamError
from minitoolai.core.inference import ChatRequest, Usage, parse_usage
from minitoolai.core.sse import DONE, FrameSplitter, SseError, event, frame_data
from minitoolai.core.tokens import prompt_tokens_bound
from minitoolai.engines.openai_chat import OpenAIChat, OpenAIChatSettings, OpenAIReply

#: OpenAI's defaults; the server's own are lower.
DEFAULT_SAMPLING = {"temperature": 1.0, "top_p": 1.0}
#: Asked of the server on top of the caller's fields: signs of life while it reads the prompt, its count so far.
_ASKED = {"return_progress": True, "timings_per_token": True}
#: A decoding step on a busy machine takes seconds, not minutes; progress frames come at every batch of the prompt.
BETWEEN_BYTES_S = 120.0

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class LlamaChat:
    """One child."""

    def __init__(self, name: str, socket: str, *, first_byte_s: float, total_s: float, deterministic: bool) -> None:
        self.name = name
        self.between_bytes_s = BETWEEN_BYTES_S
        self.total_s = total_s
        self.fetches_images = False  # it has no network
        #: Always the likeliest token: a model of three million weights has no taste to sample from.
        self._sampling: dict[str, Any] = {"top_k": 1} if deterministic else {}
        self._server = OpenAIChat(
            name,
            OpenAIChatSettings(
                base_url="http://llama/v1",
                socket=socket,
                first_byte_s=first_byte_s,
                between_bytes_s=BETWEEN_BYTES_S,
                total_s=total_s,
                max_tokens_field="max_tokens",
                reuse=False,
            ),
        )

    async def count_prompt(self, model: ChatModel, request: ChatRequest) -> int:
        """Ask the server, whose vocabulary it is; where it does not say, the bytes bound the prompt."""
        answer = await self._server.ask("/chat/completions/input_tokens", {"model": model.upstream_id, **request.body})
        counted = answer.get("input_tokens") if answer else None
        return counted if isinstance(counted, int) else prompt_tokens_bound(request.body_bytes)

    async def open(self, model: ChatModel, request: ChatRequest, max_completion_tokens: int) -> LlamaReply:
        """Send the call; see `ports.ChatEngine.open`. Raises `InvalidValue` for more than one choice."""
        if request.choices > 1:
            raise InvalidValue(param="n", why=f"the model '{model.id}' gives one choice a call. Send n = 1.")
        body = {**DEFAULT_SAMPLING, **request.body, **self._sampling, **_ASKED}
        try:
            reply = await self._server.open(model, replace(request, body=body, stream=True), max_completion_tokens)
        except UpstreamError as error:
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                # Our own child is loading its model or being restarted.
                raise NoEngine(param="model", model=model.id, retry_after_s=5) from error
            raise
        return LlamaReply(model, reply, whole=not request.stream)

    async def close(self) -> None:
        """Close all connections."""
        await self._server.close()


class LlamaReply:
    """A child's stream, freed of what only we asked for; or the whole reply made of it."""

    def __init__(self, model: ChatModel, reply: OpenAIReply, *, whole: bool) -> None:
        self._model = model
        self._reply = reply
        self._whole = _Assembly() if whole else None
        self._splitter = FrameSplitter()
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._began = False
        self._ended = False

    async def read(self) -> bytes:
        """Return the next frames (or, once, the whole reply), b"" at the end. Raises `UpstreamError`."""
        while not self._ended:
            data = await self._reply.read()
            if not data:
                return b""
            try:
                frames = b"".join([self._frame(frame) for frame in self._splitter.feed(data)])
            except (SseError, msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
                raise UpstreamError(model=self._model.id) from error
            if self._whole is None and frames:
                return frames
        if self._whole is None:
            return b""
        body, self._whole = self._whole.body(), None
        return body

    def counted(self) -> Usage | None:
        """Return what the server had read and written so far, by its own count."""
        return Usage(self._prompt_tokens, self._completion_tokens) if self._began else None

    def close(self) -> None:
        """Cut the connection; the server stops working for it."""
        self._reply.close()

    def _frame(self, frame: bytes) -> bytes:
        data = frame_data(frame)
        if data == b"[DONE]":
            self._ended = True
            return DONE
        chunk = _decode(data)
        if "error" in chunk:
            if self._whole is not None:
                raise UpstreamError(model=self._model.id)
            return frame
        progress = chunk.pop("prompt_progress", None)
        self._note(progress, chunk.pop("timings", None))
        if progress is not None:
            return b""
        if self._whole is None:
            return event(chunk)
        self._whole.add(chunk)
        return b""

    def _note(self, progress: dict[str, Any] | None, timings: dict[str, Any] | None) -> None:
        """Keep the server's count: the prompt so far read, then the tokens written."""
        if progress is not None:
            self._began = True
            self._prompt_tokens = progress["processed"]
        if timings is not None:
            self._began = True
            self._prompt_tokens = timings["cache_n"] + timings["prompt_n"]
            self._completion_tokens = timings["predicted_n"]


class _Assembly:
    """The chunks of one stream as one `chat.completion` with one choice."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._tool_calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[Any] | None = None
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None

    def add(self, chunk: dict[str, Any]) -> None:
        """Take the next chunk in."""
        self._head = chunk
        if parse_usage(chunk.get("usage")) is not None:
            self._usage = chunk["usage"]
        for choice in chunk["choices"]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            if choice.get("logprobs"):
                self._logprobs = [*(self._logprobs or []), *(choice["logprobs"].get("content") or [])]
            delta = choice["delta"]
            for name in ("content", "reasoning_content", "refusal"):
                if delta.get(name):
                    self._message[name] = (self._message.get(name) or "") + delta[name]
            for part in delta.get("tool_calls") or ():
                self._add_tool_call(part)

    def _add_tool_call(self, part: dict[str, Any]) -> None:
        call = self._tool_calls.setdefault(
            part["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = part.get("id") or call["id"]
        for name, text in (part.get("function") or {}).items():
            call["function"][name] += text

    def body(self) -> bytes:
        """Return the whole reply."""
        message = dict(self._message)
        if self._tool_calls:
            message["tool_calls"] = [self._tool_calls[index] for index in sorted(self._tool_calls)]
        elif message["content"] is None:
            message["content"] = ""
        return _encode(
            {
                "id": self._head.get("id"),
                "object": "chat.completion",
                "created": self._head.get("created"),
                "model": self._head.get("model"),
                "choices": [
                    {
                        "index": 0,
                        "message": {"refusal": None, **message},
                        "logprobs": {"content": self._logprobs} if self._logprobs is not None else None,
                        "finish_reason": self._finish_reason,
                    }
                ],
                "usage": self._usage,
                "system_fingerprint": self._head.get("system_fingerprint"),
            }
        )
