"""`POST /v1/quotes`: the most that a call may cost, from the call's own body, without running it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import msgspec

from minitoolai.api.bodies import MAX_FREE_BODY_BYTES, checked, decode_object
from minitoolai.api.chat_request import OPENAI, chat_request
from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, Model
from minitoolai.core.money import format_usd
from minitoolai.core.quotes import Quote, QuoteLine
from minitoolai.core.records import CallFacts
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access
from minitoolai.services.chat import Chat

#: Quotes a call of one kind of model, from its decoded body and the size of what came, and notes what is learnt of it.
Quoter = Callable[[Principal, dict[str, Any], int, CallFacts], Awaitable[Quote]]

_encode = msgspec.json.Encoder().encode


class _Named(msgspec.Struct):
    """What every call's body has."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


def chat_quoter(chat: Chat) -> Quoter:
    """Return what quotes the bodies of `POST /v1/chat/completions`."""

    async def quote(principal: Principal, fields: dict[str, Any], body_bytes: int, facts: CallFacts) -> Quote:
        request, _ = chat_request(fields, body_bytes, OPENAI)
        return await chat.quote(principal, request, facts)

    return quote


def add_quotes(
    routes: Routes, access: Access, catalog: Catalog, quoters: Mapping[type[Model], Quoter], *, max_body_bytes: int
) -> None:
    """Add the route. `quoters`: who quotes which kind of model."""

    async def quotes(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(min(max_body_bytes, MAX_FREE_BODY_BYTES))
        fields = decode_object(raw)
        exchange.facts.asked = checked(fields, _Named).model
        model = catalog.model(exchange.facts.asked)
        quote = await quoters[type(model)](principal, fields, len(raw), exchange.facts)
        await exchange.reply(200, _encode(_shown(quote)))

    routes.add("POST", "/v1/quotes", quotes)


def _shown(quote: Quote) -> dict[str, Any]:
    return {
        "object": "quote",
        "model": quote.model,
        "max_cost": format_usd(quote.max_cost_nusd),
        "max_completion_tokens": quote.max_completion_tokens,
        "lines": [_line(line) for line in quote.lines],
    }


def _line(line: QuoteLine) -> dict[str, Any]:
    price = None if line.nusd_per_1m is None else format_usd(line.nusd_per_1m)
    shown = {"what": line.what, "count": line.count, "usd_per_1m": price, "cost": format_usd(line.cost_nusd)}
    return shown if line.nusd_per_minute is None else {**shown, "usd_per_minute": format_usd(line.nusd_per_minute)}
