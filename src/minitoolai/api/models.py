"""`GET /v1/models` and `/v1/models/{id}`, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

import msgspec

from minitoolai.api.messages.models import asks_as_anthropic, model_info, model_page
from minitoolai.core.catalog import Catalog, ChatModel, Model, TokenModel
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access, check_model

#: OpenAI's field for a model's birth: nothing here knows it.
_UNKNOWN_DATE = 0

_encode = msgspec.json.Encoder().encode


def add_models(routes: Routes, access: Access, catalog: Catalog) -> None:
    """Add both routes."""

    async def models(exchange: Exchange) -> None:
        anthropic = asks_as_anthropic(exchange)
        principal = await exchange.principal(access)
        allowed = [m for m in catalog.served() if principal.models is None or m.id in principal.models]
        page = {"object": "list", "data": [_shown(model) for model in allowed]}
        await exchange.reply(200, _encode(model_page(allowed) if anthropic else page))

    async def one(exchange: Exchange) -> None:
        anthropic = asks_as_anthropic(exchange)
        principal = await exchange.principal(access)
        model = catalog.model(exchange.path.removeprefix("/v1/models/"))
        check_model(principal, model)
        await exchange.reply(200, _encode(model_info(model) if anthropic else _shown(model)))

    routes.add("GET", "/v1/models", models)
    routes.add("GET", "/v1/models/", one)


def _shown(model: Model) -> dict[str, Any]:
    chat = model if isinstance(model, ChatModel) else None
    return {
        "id": model.id,
        "object": "model",
        "created": _UNKNOWN_DATE,
        "owned_by": "minitoolai",
        "served_by": "starter" if model.starter else model.engine,
        "type": model.kind,
        "context_tokens": model.context_tokens if isinstance(model, TokenModel) else None,
        "max_completion_tokens": chat.max_completion_tokens if chat else None,
    }
