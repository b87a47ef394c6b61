"""`POST /v1/responses`: OpenAI's Responses API over the same chat calls (docs/reference/responses.md).

Nothing is stored: the caller keeps the items and sends them again, and asking for an earlier response is 404.
"""

from __future__ import annotations

import time

import msgspec

from minitoolai.api.bodies import decode_object
from minitoolai.api.chat_request import OPENAI, chat_request, shown_names
from minitoolai.api.paid import answer_chat
from minitoolai.api.responses.reply import ResponseShape
from minitoolai.api.responses.request import asked_response
from minitoolai.core.errors import ResponseNotStored
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access
from minitoolai.services.chat import Chat

_encode = msgspec.json.Encoder().encode


def add_responses(routes: Routes, access: Access, chat: Chat, *, max_body_bytes: int) -> None:
    """Add the route, and those that OpenAI has for stored responses."""

    async def create(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        asked = asked_response(decode_object(raw))
        exchange.error_shape = asked.origins.error_body
        # The chat body's size, not the caller's: it bounds the tokens of what the engine is sent.
        request, dropped = chat_request(asked.chat, len(_encode(asked.chat)), OPENAI)
        assert not dropped  # a translated body has only fields of chat
        shape = ResponseShape(asked, exchange.call_id, int(time.time()))
        await answer_chat(exchange, chat, principal, request, raw, ignored=shown_names(asked.ignored), shape=shape)

    async def stored(exchange: Exchange) -> None:
        await exchange.principal(access)
        raise ResponseNotStored

    routes.add("POST", "/v1/responses", create)
    for method in ("GET", "DELETE"):
        routes.add(method, "/v1/responses/", stored)
