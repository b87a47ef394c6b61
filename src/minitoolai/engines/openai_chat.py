"""Chat at any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp, our own children."""

from __future__ import annotations

import asyncio
from typing import Any

from minitoolai.core.catalog import ChatModel
from minitoolai.core.inference import ChatRequest
from minitoolai.core.tokens import count_prompt
from minitoolai.engines.openai_upstream import OpenAIReply, OpenAIUpstream


class OpenAIChat:
    """One upstream that chats."""

    knows_vocabulary = False

    def __init__(self, upstream: OpenAIUpstream) -> None:
        self.name = upstream.name
        self.between_bytes_s = upstream.settings.between_bytes_s
        self.total_s = upstream.settings.total_s
        self.fetches_images = upstream.settings.fetches_images
        self._upstream = upstream

    def check(self, model: ChatModel, request: ChatRequest) -> None:
        """Nothing is known of it: it says itself what it does not do."""

    async def open(self, model: ChatModel, request: ChatRequest, max_completion_tokens: int) -> OpenAIReply:
        """Send the call; return its reply once the headers are there. Errors: see `ports.ChatEngine.open`."""
        return await self._upstream.post("/chat/completions", model, self._body(model, request, max_completion_tokens))

    async def count_prompt(self, model: ChatModel, request: ChatRequest) -> int:
        """Count with OpenAI's vocabulary, off the event loop: an estimate for the models of others."""
        return await asyncio.to_thread(count_prompt, request.body)

    def _body(self, model: ChatModel, request: ChatRequest, limit: int) -> dict[str, Any]:
        body = {"model": model.upstream_id, **request.body, self._upstream.settings.max_tokens_field: limit}
        if request.stream:
            body["stream"] = True
            if self._upstream.settings.stream_options:
                body["stream_options"] = {"include_usage": True}
        return body
