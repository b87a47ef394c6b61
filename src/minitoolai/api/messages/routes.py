"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's API over the same chat (docs/reference/messages.md)."""

from __future__ import annotations

from typing import Any

import msgspec

from minitoolai.api.bodies import MAX_FREE_BODY_BYTES, decode_object
from minitoolai.api.chat_request import OPENAI, chat_request
from minitoolai.api.messages.errors import AnthropicErrors, speak_anthropic
from minitoolai.api.messages.reply import MessageShape
from minitoolai.api.messages.request import Asked, count_asked, message_asked
from minitoolai.api.paid import answer_chat
from minitoolai.core.access import Principal
from minitoolai.core.errors import NoEngine
from minitoolai.core.inference import ChatRequest
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access
from minitoolai.services.chat import Chat

_encode = msgspec.json.Encoder().encode


def add_messages(routes: Routes, access: Access, chat: Chat, *, max_body_bytes: int) -> None:
    """Add both routes."""

    async def answer(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        asked = message_asked(decode_object(raw))
        errors = exchange.error_shape = AnthropicErrors(exchange.call_id, asked.places)
        request = _request(asked)
        shape = MessageShape(
            spare_id=exchange.call_id.hex,
            spare_model=request.model,
            thinking=asked.shows_thinking,
            stop_sequences=asked.stop_sequences,
            input_tokens=await prompt_tokens(exchange, principal, request) if request.stream else 0,
            error=errors.shown,
        )
        await answer_chat(exchange, chat, principal, request, raw, ignored=asked.ignored, shape=shape)

    async def prompt_tokens(exchange: Exchange, principal: Principal, request: ChatRequest) -> int:
        try:
            return await chat.count(principal, request, exchange.facts)
        except NoEngine:
            return 0  # the call itself fails of it, unless its reply is an earlier one

    async def count(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(min(max_body_bytes, MAX_FREE_BODY_BYTES))
        asked = count_asked(decode_object(raw))
        exchange.error_shape = AnthropicErrors(exchange.call_id, asked.places)
        counted: dict[str, Any] = {"input_tokens": await chat.count(principal, _request(asked), exchange.facts)}
        await exchange.reply(200, _encode(counted))

    for path, endpoint in (("/v1/messages", answer), ("/v1/messages/count_tokens", count)):
        routes.add("POST", path, endpoint)
    for path in ("/v1/messages", "/v1/messages/"):
        routes.before[path] = speak_anthropic


def _request(asked: Asked) -> ChatRequest:
    """Return the chat call. The chat body bounds the prompt, not the body that came: it is what the engine reads."""
    request, _ = chat_request(asked.chat, len(_encode(asked.chat)), OPENAI)
    return request
