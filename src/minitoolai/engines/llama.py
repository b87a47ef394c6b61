"""Chat at a llama.cpp child (`children/llama`), with what its server needs to be held exactly and cancelled at once.

It notices a caller that left only when it writes, so it is always asked for a stream with progress, and whole replies
are put together here: cancelled, it stops after one batch (7 to 55 ms; 600 to 960 ms for its own whole replies).
After a stream it closes the connection without a word, so none is used twice. With `n` above 1 it reports one
choice's tokens only, so each choice is a request of its own; they run side by side and come back as one reply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec

from minitoolai.core.catalog import ChatModel
from minitoolai.core.chat_assembly import Assembly
from minitoolai.core.errors import InvalidValue, UpstreamError
from minitoolai.core.image_urls import without_images
from minitoolai.core.inference import ChatRequest, Usage
from minitoolai.core.sse import DONE, SseError, event
from minitoolai.core.tokens import prompt_tokens_bound
from minitoolai.engines.llama_choice import LlamaChoice, first_of
from minitoolai.engines.llama_server import LlamaServer
from minitoolai.engines.openai_chat import OpenAIChat
from minitoolai.engines.openai_upstream import OpenAIReply

#: OpenAI's defaults; the server's own are lower.
DEFAULT_SAMPLING = {"temperature": 1.0, "top_p": 1.0}
#: Asked of the server on top of the caller's fields: signs of life while it reads the prompt, its count so far.
_ASKED = {"return_progress": True, "timings_per_token": True}
#: Fields of OpenAI's that it does not know, and what has taken their place since.
_REPLACED = {"functions": "tools", "function_call": "tool_choice"}
#: What all chunks of one reply have in common.
_HEAD = ("id", "object", "created", "model", "system_fingerprint")
#: Its seeds are 32 bits; the last one stands for "any".
SEEDS = 2**32 - 1

_encode = msgspec.json.Encoder().encode


class LlamaChat:
    """One child."""

    knows_vocabulary = True

    def __init__(self, server: LlamaServer, *, deterministic: bool) -> None:
        self.name = server.name
        self.between_bytes_s = server.settings.between_bytes_s
        self.total_s = server.settings.total_s
        self.fetches_images = server.settings.fetches_images
        #: Always the likeliest token: a model of three million weights has no taste to sample from.
        self._sampling: dict[str, Any] = {"top_k": 1} if deterministic else {}
        self._server = server
        self._chat = OpenAIChat(server)

    def check(self, model: ChatModel, request: ChatRequest) -> None:
        """Raise `InvalidValue` for what llama.cpp would leave out without a word, or refuse in words of its own."""
        for old, new in _REPLACED.items():
            if old in request.body:
                why = f"the local model '{model.id}' takes tools in their present form only. Send '{new}'."
                raise InvalidValue(param=old, why=why)
        if request.body.get("top_logprobs") and not request.body.get("logprobs"):
            raise InvalidValue(param="top_logprobs", why='it needs "logprobs": true.')

    async def count_prompt(self, model: ChatModel, request: ChatRequest) -> int:
        """Ask the server, whose vocabulary it is; where it does not say, the bytes bound the prompt. Pictures are left
        out: it has not seen them yet."""
        text = without_images(request.body) if request.images else request.body
        answer = await self._server.ask("/chat/completions/input_tokens", {"model": model.upstream_id, **text})
        counted = answer.get("input_tokens") if answer else None
        return counted if isinstance(counted, int) else prompt_tokens_bound(request.body_bytes)

    async def open(self, model: ChatModel, request: ChatRequest, max_completion_tokens: int) -> LlamaReply:
        """Send the call; see `ports.ChatEngine.open`."""
        self.check(model, request)
        body = {**DEFAULT_SAMPLING, **request.body, **self._sampling, **_ASKED}
        shown = _ask_logprobs(body)

        def opening(index: int) -> Callable[[], Awaitable[OpenAIReply]]:
            asked = replace(request, body=_of_choice(body, index), stream=True)
            return lambda: self._chat.open(model, asked, max_completion_tokens)

        choices = [LlamaChoice(index, opening(index), shown) for index in range(request.choices)]
        reply = LlamaReply(model, choices, whole=not request.stream)
        await reply.begin()
        return reply


class LlamaReply:
    """The streams of a call's choices as one stream, freed of what only we asked for; or the whole reply made of them."""

    def __init__(self, model: ChatModel, choices: list[LlamaChoice], *, whole: bool) -> None:
        self._model = model
        self._choices = choices
        self._running = list(choices)
        self._whole = Assembly() if whole else None
        #: What stands in all its chunks.
        self._head: dict[str, Any] = {}

    async def begin(self) -> None:
        """Open the streams; return when the first has begun. Raises as the server does; then none is left open."""
        try:
            if len(self._choices) == 1:
                await self._choices[0].open()
            else:
                for choice in self._choices:
                    choice.begin()
                await self._choices[0].ready()
        except BaseException:
            self.close()
            raise

    async def read(self) -> bytes:
        """Return the next frames (or, once, the whole reply), b"" at the end. Raises `UpstreamError`, and as the server
        does for a choice that could not begin."""
        while self._running:
            choice = await self._next()
            try:
                frames = b"".join([self._frame(chunk) for chunk in await choice.read()])
            except (SseError, msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
                raise UpstreamError(model=self._model.id) from error
            self._running.remove(choice)
            if not choice.ended:
                self._running.append(choice)  # behind the others, so that none waits for ever
            elif self._whole is None and not self._running:
                frames += self._last_frames()
            if frames:
                return frames
        if self._whole is None:
            return b""
        body, self._whole = {**self._whole.completion(), "usage": self._usage()}, None
        return _encode(body)

    async def _next(self) -> LlamaChoice:
        """Return a choice that has something to say. Each begins after the one before it: OpenAI's client needs that."""
        if len(self._running) == 1:
            return self._running[0]
        last = min((choice.index for choice in self._running if not choice.heard), default=len(self._choices))
        return await first_of([choice for choice in self._running if choice.index <= last])

    def counted(self) -> Usage | None:
        """Return what the server had read and written so far, by its own count: the prompt once for all choices."""
        begun = [choice for choice in self._choices if choice.began]
        if not begun:
            return None
        return Usage(max(choice.prompt_tokens for choice in begun), sum(choice.completion_tokens for choice in begun))

    def close(self) -> None:
        """Cut the connections; the server stops working for them."""
        for choice in self._choices:
            choice.close()

    def _frame(self, chunk: dict[str, Any]) -> bytes:
        if "error" in chunk:
            if self._whole is not None:
                raise UpstreamError(model=self._model.id)
            return event(chunk)
        if not self._head:
            self._head = {name: chunk[name] for name in _HEAD}
        chunk.update(self._head)
        if self._whole is None:
            return event(chunk)
        self._whole.add(chunk)
        return b""

    def _last_frames(self) -> bytes:
        usage = self._usage()
        if usage is None:
            return DONE
        return event({**self._head, "choices": [], "usage": usage}) + DONE

    def _usage(self) -> dict[str, Any] | None:
        """Return the usage of all choices: the prompt is counted once, as OpenAI does."""
        told = [choice.usage for choice in self._choices if choice.usage is not None]
        if len(told) < len(self._choices):
            return None
        written = sum(usage["completion_tokens"] for usage in told)
        return {**told[0], "completion_tokens": written, "total_tokens": told[0]["prompt_tokens"] + written}


def _of_choice(body: dict[str, Any], index: int) -> dict[str, Any]:
    """Return the body of one choice's request: with a seed of its own, lest all choices be the same."""
    seed = body.get("seed")
    return {**body, "n": 1} if seed is None else {**body, "n": 1, "seed": (seed + index) % SEEDS}


def _ask_logprobs(body: dict[str, Any]) -> int:
    """Have the server tell log-probabilities as OpenAI would; return how many other tokens the caller wants to see.

    Asked for no others it tells none at all, and asked for nothing it tells twenty.
    """
    wanted = body.get("top_logprobs") or 0
    if body.get("logprobs"):
        body["top_logprobs"] = max(wanted, 1)
    return int(wanted)
