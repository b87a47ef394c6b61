"""Embeddings at a llama.cpp child (`children/llama`) whose model turns texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence

from minitoolai.core.catalog import EmbeddingModel
from minitoolai.core.embeddings import EmbeddingRequest, TextCounts
from minitoolai.core.errors import InvalidValue
from minitoolai.core.tokens import TOKENS_AROUND_TEXT
from minitoolai.engines.llama_server import LlamaServer
from minitoolai.engines.openai_embeddings import OpenAIEmbeddings
from minitoolai.engines.openai_upstream import OpenAIReply


class LlamaEmbeddings:
    """One child."""

    def __init__(self, server: LlamaServer) -> None:
        self.name = server.name
        self.between_bytes_s = server.settings.between_bytes_s
        self.total_s = server.settings.total_s
        self._server = server
        self._embeddings = OpenAIEmbeddings(server)

    async def count_tokens(self, model: EmbeddingModel, texts: Sequence[str]) -> TextCounts:
        """Ask the server, whose vocabulary it is; where it does not say, the bytes bound a text."""
        counted = [await self._server.count_tokens(text) for text in texts]
        bounds = [
            len(text.encode()) + TOKENS_AROUND_TEXT if count is None else count
            for text, count in zip(texts, counted, strict=True)
        ]
        return TextCounts(bounds, exact=None not in counted)

    async def open(self, model: EmbeddingModel, request: EmbeddingRequest) -> OpenAIReply:
        """Send the call; see `ports.EmbeddingEngine.open`. Raises `InvalidValue` for other `dimensions` than its own."""
        check_dimensions(model, request)
        return await self._embeddings.open(model, request)


def check_dimensions(model: EmbeddingModel, request: EmbeddingRequest) -> None:
    """Raise `InvalidValue` for `dimensions` that are not the model's: llama.cpp gives vectors as they are."""
    if request.dimensions is not None and request.dimensions != model.dimensions:
        own = f"{model.dimensions} numbers" if model.dimensions else "one size"
        raise InvalidValue(param="dimensions", why=f"the model '{model.id}' gives vectors of {own} only. Omit it.")
