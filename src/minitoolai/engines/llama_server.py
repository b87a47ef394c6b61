"""The HTTP part of a llama.cpp child (`children/llama`), behind its Unix socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from minitoolai.core.catalog import Model
from minitoolai.core.errors import NoEngine, UpstreamError
from minitoolai.engines.openai_upstream import OpenAIReply, OpenAIUpstream, UpstreamSettings

#: A decoding step on a busy machine takes seconds, not minutes; progress frames come at every batch of the prompt.
BETWEEN_BYTES_S = 120.0
#: Of the tokens of one text so much JSON is read: some 150,000 of them, more than any model here embeds.
MAX_TOKENS_BYTES = 1024 * 1024


class LlamaServer(OpenAIUpstream):
    """One child. After a stream it closes the connection without a word, so none is used twice."""

    def __init__(self, name: str, socket: str, *, first_byte_s: float, total_s: float) -> None:
        settings = UpstreamSettings(
            base_url="http://llama/v1",
            socket=socket,
            first_byte_s=first_byte_s,
            between_bytes_s=BETWEEN_BYTES_S,
            total_s=total_s,
            max_tokens_field="max_tokens",
            reuse=False,
            fetches_images=False,  # it has no network
        )
        super().__init__(name, settings)

    async def post(self, path: str, model: Model, body: Mapping[str, Any]) -> OpenAIReply:
        """As `OpenAIUpstream.post`. Raises `NoEngine` while the child loads its model or is being restarted."""
        try:
            return await super().post(path, model, body)
        except UpstreamError as error:
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                raise NoEngine(param="model", model=model.id, retry_after_s=5) from error
            raise

    async def count_tokens(self, text: str) -> int | None:
        """Return how many tokens of its own `text` is, those put around it included; None: it does not say."""
        # Its path stands beside `/v1`.
        answer = await self.ask("/../tokenize", {"content": text, "add_special": True}, limit=MAX_TOKENS_BYTES)
        tokens = answer.get("tokens") if answer else None
        return len(tokens) if isinstance(tokens, list) else None
