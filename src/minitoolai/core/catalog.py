"""The models: what each is called, costs and may be asked, and which engine serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import ClassVar, Literal, Self, TypeVar

from minitoolai.core.errors import InvalidValue, ModelNotFound, NoEngine
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
class Model:
    """What every model of the catalogue has: its name, and the engines that serve it."""

    #: What it does.
    kind: ClassVar[Literal["chat", "embedding", "image"]]

    id: str
    _: KW_ONLY
    #: Name of the engine that serves it; None: no engine is configured for it.
    engine: str | None = None
    #: Its name at the engine; None: the same.
    upstream: str | None = None
    aliases: tuple[str, ...] = ()
    #: Whether the small local starter model stands in for it (sandbox).
    starter: bool = False
    #: Further engines, tried while no byte has reached the caller.
    others: tuple[Route, ...] = ()
    #: Weight of `engine` among them; None: `engine` and `others` are tried in their order.
    weight: int | None = None

    @property
    def routes(self) -> tuple[Route, ...]:
        """All ways to it, in the order of the settings."""
        if self.engine is None:
            return ()
        return (Route(self.engine, self.upstream, 1 if self.weight is None else self.weight), *self.others)

    def by(self, route: Route) -> Self:
        """Return the model as it is at one of its routes."""
        if not self.others:
            return self
        return replace(self, engine=route.engine, upstream=route.upstream, others=())

    @property
    def upstream_id(self) -> str:
        """The model's name at its engine."""
        return self.upstream or self.id


@dataclass(frozen=True, slots=True)
class TokenModel(Model):
    """What models have that are priced by tokens."""

    prices: TokenPrices
    #: Tokens that the model can hold: of prompt and completion together, or of each text that it embeds.
    context_tokens: int


@dataclass(frozen=True, slots=True)
class ChatModel(TokenModel):
    """One chat model of the catalogue."""

    kind = "chat"

    #: Completion tokens per choice at most.
    max_completion_tokens: int
    _: KW_ONLY
    #: Whether its tokens are those of OpenAI's o200k_base, which the gateway can count.
    o200k: bool = False
    #: Whether it sees pictures, and by which rule of `core/images` their tokens are counted.
    vision: bool = False
    image_rule: str | None = None
    #: Prices of the provider's service tiers beside its usual one.
    tiers: Mapping[str, TokenPrices] = field(default_factory=dict)
    #: What a call with `web_search_options` costs beside its tokens, in nano-dollars; None: it may not be used.
    web_search_nusd: int | None = None

    def prices_at(self, tier: str | None) -> TokenPrices:
        """Return the prices at a service tier; the usual ones where it has none of its own."""
        return self.tiers.get(tier, self.prices) if tier is not None else self.prices


@dataclass(frozen=True, slots=True)
class EmbeddingModel(TokenModel):
    """One model that turns texts into vectors. It writes no tokens: only its input has a price."""

    kind = "embedding"

    _: KW_ONLY
    #: Numbers of a vector where the caller does not say; None: it is not known.
    dimensions: int | None = None
    #: Whether its tokens are those of OpenAI's cl100k_base, which the gateway can count.
    cl100k: bool = False


@dataclass(frozen=True, slots=True)
class PictureModel(Model):
    """One model that draws pictures, priced by the picture."""

    kind = "image"

    #: What a picture costs, in nano-dollars.
    image_nusd: int
    _: KW_ONLY
    #: Pixels of a square picture's side that it draws best: others are drawn near it and enlarged; None: as they are asked.
    native_size: int | None = None
    #: Sizes that it draws, as "1024x1024", where it draws only some.
    sizes: tuple[str, ...] = ()


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


def _embedding_model(name: str, input_usd: str, dimensions: int) -> EmbeddingModel:
    return EmbeddingModel(name, TokenPrices(parse_usd(input_usd), 0), 8192, dimensions=dimensions, cl100k=True)


#: OpenAI's embedding models at its own prices, with the longest text and the dimensions that it documents
#: (https://platform.openai.com/docs/models/text-embedding-3-small, https://platform.openai.com/docs/guides/embeddings).
EMBEDDING_MODELS: tuple[EmbeddingModel, ...] = (
    _embedding_model("text-embedding-3-small", "0.02", 1536),
    _embedding_model("text-embedding-3-large", "0.13", 3072),
)

#: What a picture of any model of the seed costs.
SEED_IMAGE_NUSD = parse_usd("0.0015")

#: The picture models of the seed document with its price.
SEED_PICTURE_MODELS: tuple[PictureModel, ...] = tuple(
    PictureModel(name, SEED_IMAGE_NUSD)
    for name in (
        "realvision", "juggernaut", "autismmix", "dreamshaper", "valhalla", "mixrealistic", "campursari", "reality",
        "extrarealistic", "realism", "realgirls", "realityreborn", "amigo", "simplemix", "beautifulrealistic",
    )
)  # fmt: skip

AnyModel = TypeVar("AnyModel", bound=Model)


_EMBEDS = "embeds texts. Use it in /v1/embeddings"


class Catalog:
    """All models of one server, found by id or alias."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._by_id: dict[str, Model] = {}
        self._by_name: dict[str, Model] = {}
        for model in models:
            self._by_id[model.id] = model
        for model in self._by_id.values():
            for alias in model.aliases:
                self._by_name.setdefault(alias, model)
        self._by_name.update(self._by_id)

    def model(self, name: str) -> Model:
        """Return the model called `name`. Raises `ModelNotFound`, or `NoEngine` where nothing serves it."""
        model = self._by_name.get(name)
        if model is None:
            raise ModelNotFound(param="model", model=name)
        if model.engine is None:
            raise NoEngine(param="model", model=name, retry_after_s=60)
        return model

    def chat_model(self, name: str) -> ChatModel:
        """Return the chat model called `name`. Raises as `model`, and `InvalidValue` where it does not chat."""
        model = self.model(name)
        if not isinstance(model, ChatModel):
            does = "draws. Use it in /v1/images/generations" if isinstance(model, PictureModel) else _EMBEDS
            raise InvalidValue(param="model", why=f"'{name}' {does}, or name a chat model.")
        return model

    def embedding_model(self, name: str) -> EmbeddingModel:
        """Return the embedding model called `name`. Raises as `model`, and `InvalidValue` where it does not embed."""
        model = self.model(name)
        if not isinstance(model, EmbeddingModel):
            why = f"'{name}' does not embed texts. Name an embedding model of GET /v1/models."
            raise InvalidValue(param="model", why=why)
        return model

    def picture_model(self, name: str) -> PictureModel:
        """Return the picture model called `name`. Raises as `model`, and `InvalidValue` where it does not draw."""
        model = self.model(name)
        if not isinstance(model, PictureModel):
            raise InvalidValue(param="model", why=f"'{name}' does not draw. Name a picture model of GET /v1/models.")
        return model

    def ids(self) -> list[str]:
        """Return the ids of all models, in order."""
        return list(self._by_id)

    def served(self) -> list[Model]:
        """Return the models that have an engine, in order."""
        return [model for model in self._by_id.values() if model.engine is not None]


def served_by(models: Iterable[Model], engines: Mapping[str, str], *, starter: bool = False) -> Iterable[Model]:
    """Yield `models`, those without an engine of their own given that of their kind in `engines`, where it names one."""
    for model in models:
        engine = engines.get(model.kind)
        yield model if model.engine or engine is None else replace(model, engine=engine, starter=starter)


def by_id(models: Iterable[AnyModel]) -> Mapping[str, AnyModel]:
    """Return `models` by their ids."""
    return {model.id: model for model in models}
