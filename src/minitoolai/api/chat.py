"""`POST /api/chat-completions/` (the seed's surface) and `POST /v1/chat/completions` (OpenAI's), docs/reference/chat.md.

Both take OpenAI's body; they differ in what they do when the body is silent, and in the fields of a chunk.
"""

from __future__ import annotations

from minitoolai.api.bodies import decode_object
from minitoolai.api.chat_request import OPENAI, SEED, Surface, chat_request
from minitoolai.api.paid import answer_chat
from minitoolai.edge.application import Endpoint, Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access
from minitoolai.services.chat import Chat


def add_chat(routes: Routes, access: Access, chat: Chat, *, max_body_bytes: int) -> None:
    """Add both surfaces."""
    for path, surface in (("/api/chat-completions", SEED), ("/v1/chat/completions", OPENAI)):
        routes.add("POST", path, _endpoint(surface, access, chat, max_body_bytes))


def _endpoint(surface: Surface, access: Access, chat: Chat, max_body_bytes: int) -> Endpoint:
    async def answer(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        request, ignored = chat_request(decode_object(raw), len(raw), surface)
        await answer_chat(exchange, chat, principal, request, raw, ignored=ignored)

    return answer
