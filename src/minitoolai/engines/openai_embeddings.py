"""Embeddings at any server that speaks OpenAI's: OpenAI, vLLM, Ollama, llama.cpp, our own children."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from minitoolai.core.catalog import EmbeddingModel
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import ContextLengthExceeded, TextTooLong
from minitoolai.core.tokens import CL100K, count_text
from minitoolai.engines.openai_upstream import OpenAIReply, OpenAIUpstream


class OpenAIEmbeddings:
    """One upstream that embeds."""

    def __init__(self, upstream: OpenAIUpstream) -> None:
        self.name = upstream.name
        self.between_bytes_s = upstream.settings.between_bytes_s
        self.total_s = upstream.settings.total_s
        self._upstream = upstream

    def check(self, model: EmbeddingModel, request: EmbeddingRequest) -> None:
        """Nothing is known of it: it says itself what it does not do."""

    async def count_tokens(self, model: EmbeddingModel, texts: Sequence[str]) -> list[int] | None:
        """Count OpenAI's models with their vocabulary, off the event loop."""
        if not model.cl100k:
            return None
        return await asyncio.to_thread(lambda: [count_text(text, CL100K) for text in texts])

    async def open(self, model: EmbeddingModel, request: EmbeddingRequest) -> OpenAIReply:
        """Send the call; return its reply once the headers are there. Errors: see `ports.EmbeddingEngine.open`."""
        try:
            return await self._upstream.post("/embeddings", model, {"model": model.upstream_id, **request.body})
        except ContextLengthExceeded as error:
            facts = {name: fact for name, fact in error.facts.items() if name != "param"}
            raise TextTooLong(param="input", **facts) from error
