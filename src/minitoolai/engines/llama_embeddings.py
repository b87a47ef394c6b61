"""Embeddings at a llama.cpp child (`children/llama`) whose model turns texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence

from minitoolai.core.catalog import EmbeddingModel
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import InvalidValue
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

    def check(self, model: EmbeddingModel, request: EmbeddingRequest) -> None:
        """Raise `InvalidValue` for `dimensions` that are not the model's: llama.cpp gives vectors as they are."""
        if request.dimensions is not None and request.dimensions != model.dimensions:
            own = f"{model.dimensions} numbers" if model.dimensions else "one size"
            raise InvalidValue(param="dimensions", why=f"the model '{model.id}' gives vectors of {own} only. Omit it.")

    async def count_tokens(self, model: EmbeddingModel, texts: Sequence[str]) -> list[int] | None:
        """Ask the server, whose vocabulary it is; None where it does not say."""
        counted = [await self._server.count_tokens(text) for text in texts]
        known = [count for count in counted if count is not None]
        return known if len(known) == len(texts) else None

    async def open(self, model: EmbeddingModel, request: EmbeddingRequest) -> OpenAIReply:
        """Send the call; see `ports.EmbeddingEngine.open`."""
        self.check(model, request)
        return await self._embeddings.open(model, request)
