"""`GET /v1/prices`: what every model costs, for anyone to see."""

from __future__ import annotations

from typing import Any

import msgspec

from minitoolai.core.catalog import Catalog, ChatModel, Model, PictureModel, SpeechModel, TokenModel, TranscriptionModel
from minitoolai.core.money import format_usd
from minitoolai.core.pricing import TokenPrices
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange

#: What a model that is not priced by tokens has none of.
_TOKEN_PRICES = ("input_usd_per_1m", "cached_input_usd_per_1m", "output_usd_per_1m")

_encode = msgspec.json.Encoder().encode


def add_prices(routes: Routes, catalog: Catalog) -> None:
    """Add the route."""

    async def prices(exchange: Exchange) -> None:
        shown = [_shown(model) for model in catalog.served()]
        await exchange.reply(200, _encode({"object": "list", "currency": "USD", "data": shown}))

    routes.add("GET", "/v1/prices", prices)


def _shown(model: Model) -> dict[str, Any]:
    """Return a model's prices; what its kind does not have is null."""
    chat = model if isinstance(model, ChatModel) else None
    search = chat.web_search_nusd if chat else None
    tokens = model if isinstance(model, TokenModel) else None
    image = model.image_nusd if isinstance(model, PictureModel) else None
    characters = model.character_nusd_per_1m if isinstance(model, SpeechModel) else None
    minute = model.minute_nusd if isinstance(model, TranscriptionModel) else None
    return {
        "id": model.id,
        "object": "price",
        "type": model.kind,
        "aliases": list(model.aliases),
        "starter": model.starter,
        **(_usd(tokens.prices, writes=chat is not None) if tokens else dict.fromkeys(_TOKEN_PRICES)),
        "usd_per_image": _usd_or_none(image),
        "usd_per_1m_characters": _usd_or_none(characters),
        "usd_per_minute": _usd_or_none(minute),
        "service_tiers": {tier: _usd(prices) for tier, prices in chat.tiers.items()} if chat else {},
        "web_search_usd_per_call": _usd_or_none(search),
        "vision": chat is not None and chat.vision,
        "context_tokens": tokens.context_tokens if tokens else None,
        "max_completion_tokens": chat.max_completion_tokens if chat else None,
    }


def _usd(prices: TokenPrices, *, writes: bool = True) -> dict[str, str | None]:
    return {
        "input_usd_per_1m": format_usd(prices.input_nusd_per_1m),
        "cached_input_usd_per_1m": format_usd(prices.cached_input_nusd_per_1m),
        "output_usd_per_1m": format_usd(prices.output_nusd_per_1m) if writes else None,
    }


def _usd_or_none(price_nusd: int | None) -> str | None:
    return None if price_nusd is None else format_usd(price_nusd)
