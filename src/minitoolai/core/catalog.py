"""The models: what each is called, costs and may be asked, and which engine serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from minitoolai.core.errors import ModelNotFound, NoEngine
from minitoolai.core.money import parse_usd
from minitoolai.core.pricing import TokenPrices


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a model: an engine, and the model's name there."""

    engine: str
    #: Its name at the engine; None: the same.
    upstream: str | None = None
    #: How often it is the first to be tried, relative to the others; 0: never, it only stands in.
    weight: int = 1


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
    #: Further engines, tried while no byte has reached the caller.
    others: tuple[Route, ...] = ()
    #: Weight of `engine` among them; None: `engine` and `others` are tried in their order.
    weight: int | None = None
    #: Whether it sees pictures, and by which rule of `core/images` their tokens are counted.
    vision: bool = False
    image_rule: str | None = None
    #: Prices of the provider's service tiers beside its usual one.
    tiers: Mapping[str, TokenPrices] = field(default_factory=dict)
    #: What a call with `web_search_options` costs beside its tokens, in nano-dollars; None: it may not be used.
    web_search_nusd: int | None = None

    @property
    def routes(self) -> tuple[Route, ...]:
        """All ways to it, in the order of the settings."""
        if self.engine is None:
            return ()
        return (Route(self.engine, self.upstream, 1 if self.weight is None else self.weight), *self.others)

    def by(self, route: Route) -> ChatModel:
        """Return the model as it is at one of its routes."""
        if not self.others:
            return self
        return replace(self, engine=route.engine, upstream=route.upstream, others=())

    def prices_at(self, tier: str | None) -> TokenPrices:
        """Return the prices at a service tier; the usual ones where it has none of its own."""
        return self.tiers.get(tier, self.prices) if tier is not None else self.prices

    @property
    def upstream_id(self) -> str:
        """The model's name at its engine."""
        return self.upstream or self.id


def _seed_model(name: str, input_usd: str, output_usd: str, context: int, longest: int, dated: str) -> ChatModel:
    prices = TokenPrices(parse_usd(input_usd), parse_usd(output_usd))
    return ChatModel(name, prices, context, longest, aliases=(f"{name}-{dated}",), o200k=True, vision=True, image_rule=name)


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
