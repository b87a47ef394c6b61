"""The models as Anthropic's clients list them: `GET /v1/models` with the header `anthropic-version`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minitoolai.api.messages.errors import speak_anthropic
from minitoolai.core.catalog import ChatModel, Model, TokenModel
from minitoolai.edge.exchange import Exchange

#: What Anthropic gives where a model's birth is not known.
_EPOCH = "1970-01-01T00:00:00Z"


def asks_as_anthropic(exchange: Exchange) -> bool:
    """Whether the caller is a client of Anthropic's, which tells its version; then errors have its shape too."""
    if exchange.header(b"anthropic-version") is None:
        return False
    speak_anthropic(exchange)
    return True


def model_info(model: Model) -> dict[str, Any]:
    """Return a model as Anthropic shows it."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": _EPOCH,
        "lifecycle": "active",
        "max_input_tokens": model.context_tokens if isinstance(model, TokenModel) else None,
        "max_tokens": model.max_completion_tokens if isinstance(model, ChatModel) else None,
    }


def model_page(models: Iterable[Model]) -> dict[str, Any]:
    """Return the one page of models that can be talked to."""
    data = [model_info(model) for model in models if isinstance(model, ChatModel)]
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": ends[0], "last_id": ends[1]}
