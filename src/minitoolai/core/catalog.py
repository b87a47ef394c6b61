"""The models: what each is called, costs and may be asked, and which engine serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from minitoolai.core.errors import ModelNotFound, NoEngine
from minitoolai.core.money import parse_usd
from minitoolai.core.pricing import TokenPrices


@dataclass(frozen=True, slots=True)
class ChatModel:
    """One chat model of the catalogue."""

    id: str
    prices: TokenPrices
    #: Tokens of prompt and completion together that the model can hold.
    context_tokens: int
    #: Completion tokens per choice at most.
    max_completion_tokens: int
    #: Name of the engine that serves it; None: no engine is configured for it.
    engine: str | None = None
    #: Its name at the engine; None: the same.
    upstream: str | None = None
    aliases: tuple[str, ...] = ()
    #: Whether its tokens are those of OpenAI's o200k_base, which the gateway can count.
    o200k: bool = False
    #: Whether the small local starter model stands in for it (sandbox).
    starter: bool = False

    @property
    def upstream_id(self) -> str:
        """The model's name at its engine."""
        return self.upstream or self.id


def _seed_model(name: str, input_usd: str, output_usd: str, context: int, longest: int, dated: str) -> ChatModel:
    prices = TokenPrices(parse_usd(input_usd), parse_usd(output_usd))
    return ChatModel(name, prices, context, longest, aliases=(f"{name}-{dated}",), o200k=True)


#: The chat models of the seed document with its prices; context and longest answer as OpenAI documents them
#: (https://platform.openai.com/docs/models).
SEED_CHAT_MODELS: tuple[ChatModel, ...] = (
    _seed_model("gpt-4o-mini", "0.15", "0.60", 128_000, 16_384, "2024-07-18"),
    _seed_model("gpt-4o", "2.50", "10.00", 128_000, 16_384, "2024-08-06"),
    _seed_model("gpt-4.1", "2.00", "8.00", 1_047_576, 32_768, "2025-04-14"),
    _seed_model("gpt-4.1-mini", "0.40", "1.60", 1_047_576, 32_768, "2025-04-14"),
    _seed_model("gpt-4.1-nano", "0.10", "0.40", 1_047_576, 32_768, "2025-04-14"),
)


class Catalog:
    """All models of one server, found by id or alias."""

    def __init__(self, models: Iterable[ChatModel]) -> None:
        self._by_id: dict[str, ChatModel] = {}
        self._by_name: dict[str, ChatModel] = {}
        for model in models:
            self._by_id[model.id] = model
        for model in self._by_id.values():
            for alias in model.aliases:
                self._by_name.setdefault(alias, model)
        self._by_name.update(self._by_id)

    def chat_model(self, name: str) -> ChatModel:
        """Return the chat model called `name`. Raises `ModelNotFound`, or `NoEngine` where nothing serves it."""
        model = self._by_name.get(name)
        if model is None:
            raise ModelNotFound(param="model", model=name)
        if model.engine is None:
            raise NoEngine(param="model", model=name, retry_after_s=60)
        return model

    def ids(self) -> list[str]:
        """Return the ids of all models, in order."""
        return list(self._by_id)

    def served(self) -> list[ChatModel]:
        """Return the models that have an engine, in order."""
        return [model for model in self._by_id.values() if model.engine is not None]


def served_by(models: Iterable[ChatModel], engine: str, *, starter: bool = False) -> Iterable[ChatModel]:
    """Yield `models`, those without an engine of their own given `engine`."""
    for model in models:
        yield model if model.engine else replace(model, engine=engine, starter=starter)


def by_id(models: Iterable[ChatModel]) -> Mapping[str, ChatModel]:
    """Return `models` by their ids."""
    return {model.id: model for model in models}
