"""One choice of a chat call at a llama.cpp child: a stream of its own, its chunks brought into OpenAI's shape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from minitoolai.core.inference import parse_usage
from minitoolai.core.sse import FrameSplitter, SseError, frame_data
from minitoolai.engines.openai_upstream import OpenAIReply

_decode = msgspec.json.Decoder().decode


class LlamaChoice:
    """One choice: a stream of its own at the server."""

    def __init__(self, index: int, opening: Callable[[], Awaitable[OpenAIReply]], top_logprobs: int) -> None:
        self.index = index
        self._opening = opening
        self._top_logprobs = top_logprobs
        self._reply: OpenAIReply | None = None
        self._splitter = FrameSplitter()
        #: The next read, where several choices are awaited at once.
        self._ahead: asyncio.Task[bytes] | None = None
        #: The server's count: of the prompt so far read, and of the tokens written.
        self.prompt_tokens = self.completion_tokens = 0
        #: Whether it has counted anything.
        self.began = False
        #: Whether it has said anything to callers.
        self.heard = False
        #: Its usage, once it has told.
        self.usage: dict[str, Any] | None = None
        self.ended = False

    async def open(self) -> OpenAIReply:
        """Send the request; return its reply once the headers are there."""
        if self._reply is None:
            self._reply = await self._opening()
        return self._reply

    def begin(self) -> asyncio.Task[bytes]:
        """Wait for the next bytes beside other choices; return the task that does."""
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._bytes())
        return self._ahead

    async def ready(self) -> None:
        """Return when the next bytes have come. Raises as `open`."""
        await asyncio.wait([self.begin()])
        self.begin().result()

    async def read(self) -> list[dict[str, Any]]:
        """Return the chunks in the next bytes. Raises `UpstreamError`, `SseError`, and as `open`."""
        data = await (self._ahead or self._bytes())
        self._ahead = None
        if not data:
            raise SseError("the stream ended without its end")
        chunks = [self._chunk(frame_data(frame)) for frame in self._splitter.feed(data)]
        return [chunk for chunk in chunks if chunk is not None]

    def close(self) -> None:
        """Cut the connection."""
        if self._ahead is not None and not self._ahead.cancel() and not self._ahead.cancelled():
            self._ahead.exception()  # it is of no interest any more
        if self._reply is not None:
            self._reply.close()

    async def _bytes(self) -> bytes:
        return await (await self.open()).read()

    def _chunk(self, data: bytes) -> dict[str, Any] | None:
        """Return the chunk in a frame as the caller gets it; None: it says nothing to callers."""
        if data == b"[DONE]":
            self.ended = True
            return None
        chunk: dict[str, Any] = _decode(data)
        if "error" in chunk:
            self.ended = True
            return chunk
        progress = chunk.pop("prompt_progress", None)
        self._note(progress, chunk.pop("timings", None))
        if progress is not None:
            return None
        if not chunk["choices"]:
            self.usage = chunk["usage"] if parse_usage(chunk.get("usage")) is not None else None
            return None
        self.heard = True
        for choice in chunk["choices"]:
            choice["index"] = self.index
            if choice.get("logprobs"):
                choice["logprobs"] = _plain_logprobs(choice["logprobs"]["content"], self._top_logprobs)
        return chunk

    def _note(self, progress: dict[str, Any] | None, timings: dict[str, Any] | None) -> None:
        """Keep the server's count."""
        if progress is not None:
            self.began = True
            self.prompt_tokens = progress["processed"]
        if timings is not None:
            self.began = True
            self.prompt_tokens = timings["cache_n"] + timings["prompt_n"]
            self.completion_tokens = timings["predicted_n"]


async def first_of(choices: list[LlamaChoice]) -> LlamaChoice:
    """Return the first of `choices` for which there is something to read; wait until there is."""
    done, _ = await asyncio.wait([choice.begin() for choice in choices], return_when=asyncio.FIRST_COMPLETED)
    return next(choice for choice in choices if choice.begin() in done)


def _plain_logprobs(tokens: list[dict[str, Any]], most: int) -> dict[str, Any]:
    """Return the server's log-probabilities in OpenAI's shape: without its own numbers of tokens."""
    shown = [{**_plain_token(token), "top_logprobs": _plain_tokens(token["top_logprobs"][:most])} for token in tokens]
    return {"content": shown, "refusal": None}


def _plain_tokens(tokens: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_plain_token(token) for token in tokens]


def _plain_token(token: dict[str, Any]) -> dict[str, Any]:
    return {name: token[name] for name in ("token", "logprob", "bytes")}
