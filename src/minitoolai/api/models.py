"""`GET /v1/models` and `/v1/models/{id}`, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

import msgspec

from minitoolai.core.catalog import Catalog, ChatModel
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access, check_model

#: OpenAI's field for a model's birth: nothing here knows it.
_UNKNOWN_DATE = 0

_encode = msgspec.json.Encoder().encode


def add_models(routes: Routes, access: Access, catalog: Catalog) -> None:
    """Add both routes."""

    async def models(exchange: Exchange) -> None:
        principal = await access.identify(exchange.credentials, exchange.address)
        allowed = [m for m in catalog.served() if principal.models is None or m.id in principal.models]
        await exchange.reply(200, _encode({"object": "list", "data": [_shown(model) for model in allowed]}))

    async def one(exchange: Exchange) -> None:
        principal = await access.identify(exchange.credentials, exchange.address)
        model = catalog.chat_model(exchange.path.removeprefix("/v1/models/"))
        check_model(principal, model)
        await exchange.reply(200, _encode(_shown(model)))

    routes.add("GET", "/v1/models", models)
    routes.add("GET", "/v1/models/", one)


def _shown(model: ChatModel) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": _UNKNOWN_DATE,
        "owned_by": "minitoolai",
        "served_by": "starter" if model.starter else model.engine,
        "context_tokens": model.context_tokens,
        "max_completion_tokens": model.max_completion_tokens,
    }
