"""The models: what each is called, costs and may be asked, and which engine serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import ClassVar, Literal, Self, TypeVar

from minitoolai.core.errors import InvalidValue, ModelNotFound, NoEngine
from minitoolai.core.money import charge_nusd
from minitoolai.core.pricing import TokenPrices

MS_PER_MINUTE = 60_000


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
    kind: ClassVar[Literal["chat", "embedding", "image", "speech", "transcription"]]

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


@dataclass(frozen=True, slots=True)
class SpeechModel(Model):
    """One model that speaks, priced by the characters of the text."""

    kind = "speech"

    #: Nano-dollars per million characters.
    character_nusd_per_1m: int

    def cost_nusd(self, characters: int) -> int:
        """Return the charge for so many characters, rounded once."""
        return charge_nusd(characters * self.character_nusd_per_1m)


@dataclass(frozen=True, slots=True)
class TranscriptionModel(Model):
    """One model that writes down speech, priced by the minute of sound."""

    kind = "transcription"

    #: Nano-dollars per minute.
    minute_nusd: int

    def cost_nusd(self, milliseconds: int) -> int:
        """Return the charge for so much sound, rounded once."""
        return charge_nusd(milliseconds * self.minute_nusd, MS_PER_MINUTE)


AnyModel = TypeVar("AnyModel", bound=Model)

#: What models of the other kinds do, and where: for callers who named one in the wrong place.
_DOES: Mapping[str, str] = {
    "chat": "chats. Use it in /v1/chat/completions",
    "embedding": "embeds texts. Use it in /v1/embeddings",
    "image": "draws. Use it in /v1/images/generations",
    "speech": "speaks. Use it in /v1/audio/speech",
    "transcription": "writes down speech. Use it in /v1/audio/transcriptions",
}


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
        return _served(self._found(name), name)

    def chat_model(self, name: str) -> ChatModel:
        """Return the chat model called `name`. Raises as `model`, and `InvalidValue` where it does not chat."""
        return self._of(ChatModel, name, "a chat model")

    def embedding_model(self, name: str) -> EmbeddingModel:
        """Return the embedding model called `name`. Raises as `model`, and `InvalidValue` where it does not embed."""
        return self._of(EmbeddingModel, name, "an embedding model of GET /v1/models")

    def picture_model(self, name: str) -> PictureModel:
        """Return the picture model called `name`. Raises as `model`, and `InvalidValue` where it does not draw."""
        return self._of(PictureModel, name, "a picture model of GET /v1/models")

    def speech_model(self, name: str) -> SpeechModel:
        """Return the speech model called `name`. Raises as `model`, and `InvalidValue` where it does not speak."""
        return self._of(SpeechModel, name, "a speech model of GET /v1/models")

    def transcription_model(self, name: str) -> TranscriptionModel:
        """Return the transcription model called `name`. Raises as `model`, and `InvalidValue` where it writes nothing
        down."""
        return self._of(TranscriptionModel, name, "a transcription model of GET /v1/models")

    def _of(self, kind: type[AnyModel], name: str, wanted: str) -> AnyModel:
        model = self._found(name)
        if not isinstance(model, kind):
            raise InvalidValue(param="model", why=f"'{name}' {_DOES[model.kind]}, or name {wanted}.")
        return _served(model, name)

    def _found(self, name: str) -> Model:
        model = self._by_name.get(name)
        if model is None:
            raise ModelNotFound(param="model", model=name)
        return model

    def ids(self) -> list[str]:
        """Return the ids of all models, in order."""
        return list(self._by_id)

    def served(self) -> list[Model]:
        """Return the models that have an engine, in order."""
        return [model for model in self._by_id.values() if model.engine is not None]


def _served(model: AnyModel, name: str) -> AnyModel:
    """Return a model that is called `name`. Raises `NoEngine` where nothing serves it."""
    if model.engine is None:
        raise NoEngine(param="model", model=name, retry_after_s=60)
    return model


def served_by(models: Iterable[Model], engines: Mapping[str, str], *, starter: bool = False) -> Iterable[Model]:
    """Yield `models`, those without an engine of their own given that of their kind in `engines`, where it names one."""
    for model in models:
        engine = engines.get(model.kind)
        yield model if model.engine or engine is None else replace(model, engine=engine, starter=starter)


def by_id(models: Iterable[AnyModel]) -> Mapping[str, AnyModel]:
    """Return `models` by their ids."""
    return {model.id: model for model in models}
