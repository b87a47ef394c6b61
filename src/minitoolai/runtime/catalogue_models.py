"""A model of the catalogue as the operator's settings make it: routes, prices, limits, all of them checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from minitoolai.core.catalog import (
    ChatModel,
    EmbeddingModel,
    Model,
    PictureModel,
    Route,
    SpeechModel,
    TranscriptionModel,
)
from minitoolai.core.images import fixed_rule
from minitoolai.core.inner_errors import ConfigInvalid, InvalidAmount
from minitoolai.core.money import MAX_PRICE_NUSD, format_usd, parse_usd
from minitoolai.core.pricing import TokenPrices
from minitoolai.runtime.model_settings import ModelRoute, ModelSettings, TierSettings
from minitoolai.runtime.settings import (
    ESPEAK,
    EngineSettings,
    EspeakEngineSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    SpeechEngineSettings,
)
from minitoolai.runtime.vision import DEFAULT_IMAGE_TOKENS, with_sight

#: For a model that the operator adds without saying: what most models of today can do at least.
DEFAULT_CONTEXT_TOKENS = 128_000
DEFAULT_COMPLETION_TOKENS = 16_384
#: Of one text, for an embedding model: what OpenAI's and most of today's read.
DEFAULT_TEXT_TOKENS = 8192

#: Settings that not all kinds of model have, and whose they are.
_SETTINGS_OF = {
    "output_usd_per_1m": ("chat",),
    "cached_input_usd_per_1m": ("chat",),
    "service_tiers": ("chat",),
    "web_search_usd_per_call": ("chat",),
    "max_completion_tokens": ("chat",),
    "vision": ("chat",),
    "image_tokens": ("chat",),
    "input_usd_per_1m": ("chat", "embedding"),
    "context_tokens": ("chat", "embedding"),
    "dimensions": ("embedding",),
    "usd_per_image": ("image",),
    "native_size": ("image",),
    "sizes": ("image",),
    "usd_per_1m_characters": ("speech",),
    "usd_per_minute": ("transcription",),
}
#: All settings as they are when nothing is set.
_UNCHANGED = ModelSettings()
#: What models do that no llama engine does, and which engines do it.
_DOES = {
    "image": ("draws", "an onnx or openai engine"),
    "speech": ("speaks", "an espeak, piper, kokoro or openai engine"),
    "transcription": ("writes down speech", "an openai engine"),
}


class _Ways(TypedDict):
    """What models of all kinds have: see `core.catalog.Model`."""

    engine: str | None
    upstream: str | None
    others: tuple[Route, ...]
    weight: int | None
    aliases: tuple[str, ...]


def model_of(name: str, base: Model | None, differs: ModelSettings, engines: Mapping[str, EngineSettings]) -> Model:
    """Return model `name`: what `differs` says of it over `base`, the built-in one where there is one.

    Raises `ConfigInvalid`, also where one of its `engines` does not do what the model does.
    """
    own = None if base is None else base.kind
    if own is not None and differs.kind not in (None, own):
        raise ConfigInvalid(source=f'models."{name}".kind', why=f"is '{own}' in the catalogue; give another name")
    kind = own or differs.kind or "chat"
    _check_kind(name, differs, engines, kind)
    if kind == "image":
        return _picture_model(name, base if isinstance(base, PictureModel) else None, differs)
    if kind == "embedding":
        return _embedding_model(name, base if isinstance(base, EmbeddingModel) else None, differs)
    if kind == "speech":
        return _speech_model(name, base if isinstance(base, SpeechModel) else None, differs)
    if kind == "transcription":
        return _transcription_model(name, base if isinstance(base, TranscriptionModel) else None, differs)
    return with_sight(_chat_model(name, base if isinstance(base, ChatModel) else None, differs), differs, engines)


def engines_named(differs: ModelSettings) -> list[str]:
    """Return the names of the engines that a model's settings name."""
    named = [differs.engine, *(each if isinstance(each, str) else each.name for each in differs.engines)]
    return [name for name in named if name is not None]


def _check_kind(name: str, differs: ModelSettings, engines: Mapping[str, EngineSettings], kind: str) -> None:
    """Refuse settings and engines of the other kinds of model."""
    for setting, kinds in _SETTINGS_OF.items():
        if kind not in kinds and getattr(differs, setting) != getattr(_UNCHANGED, setting):
            article = "an" if kind[0] in "aei" else "a"
            why = f"is nothing that {article} {kind} model has; remove it"
            raise ConfigInvalid(source=f'models."{name}".{setting}', why=why)
    for engine in engines_named(differs):
        if unfit := _unfit(engines.get(engine) or (EspeakEngineSettings() if engine == ESPEAK else None), kind):
            raise ConfigInvalid(source=f'models."{name}"', why=unfit)


def _unfit(engine: EngineSettings | None, kind: str) -> str | None:
    """Return why an engine cannot serve a model of that kind; None: it may."""
    if engine is None or isinstance(engine, OpenAIEngineSettings):
        return None
    if isinstance(engine, OnnxEngineSettings):
        return None if kind == "image" else 'is no image model, and its onnx engine draws: set kind = "image"'
    if isinstance(engine, SpeechEngineSettings):
        named = f"{engine.__struct_config__.tag} engine"
        return None if kind == "speech" else f'is no speech model, and its {named} speaks: set kind = "speech"'
    if kind not in ("chat", "embedding"):
        verb, better = _DOES[kind]
        return f"{verb}, and its llama engine does not: give it {better}"
    if engine.embeddings == (kind == "embedding"):
        return None
    return "chats, and its llama engine embeds" if engine.embeddings else "embeds: its llama engine needs embeddings = true"


def _picture_model(name: str, base: PictureModel | None, differs: ModelSettings) -> PictureModel:
    if base is None and differs.usd_per_image is None:
        raise ConfigInvalid(source=f'models."{name}"', why="an image model that is not in the catalogue needs usd_per_image")
    return PictureModel(
        id=name,
        image_nusd=_price(name, differs.usd_per_image, base.image_nusd if base else 0),
        native_size=differs.native_size,
        sizes=differs.sizes,
        **_ways(name, base, differs),
    )


def _speech_model(name: str, base: SpeechModel | None, differs: ModelSettings) -> SpeechModel:
    if base is None and differs.usd_per_1m_characters is None:
        why = "a speech model that is not in the catalogue needs usd_per_1m_characters"
        raise ConfigInvalid(source=f'models."{name}"', why=why)
    return SpeechModel(
        id=name,
        character_nusd_per_1m=_price(name, differs.usd_per_1m_characters, base.character_nusd_per_1m if base else 0),
        **_ways(name, base, differs),
    )


def _transcription_model(name: str, base: TranscriptionModel | None, differs: ModelSettings) -> TranscriptionModel:
    if base is None and differs.usd_per_minute is None:
        why = "a transcription model that is not in the catalogue needs usd_per_minute"
        raise ConfigInvalid(source=f'models."{name}"', why=why)
    return TranscriptionModel(
        id=name,
        minute_nusd=_price(name, differs.usd_per_minute, base.minute_nusd if base else 0),
        **_ways(name, base, differs),
    )


def _embedding_model(name: str, base: EmbeddingModel | None, differs: ModelSettings) -> EmbeddingModel:
    if base is None and differs.input_usd_per_1m is None:
        why = "an embedding model that is not in the catalogue needs input_usd_per_1m"
        raise ConfigInvalid(source=f'models."{name}"', why=why)
    ways = _ways(name, base, differs)
    own = base is not None and _is_called(name, ways)
    return EmbeddingModel(
        id=name,
        prices=TokenPrices(_price(name, differs.input_usd_per_1m, base.prices.input_nusd_per_1m if base else 0), 0),
        context_tokens=differs.context_tokens or (base.context_tokens if base else DEFAULT_TEXT_TOKENS),
        **ways,
        # Under another name at the engine it is another model, of which nothing is known.
        dimensions=differs.dimensions or (base.dimensions if base and own else None),
        cl100k=base is not None and base.cl100k and own,
    )


def _chat_model(name: str, base: ChatModel | None, differs: ModelSettings) -> ChatModel:
    if base is None and (differs.input_usd_per_1m is None or differs.output_usd_per_1m is None):
        raise ConfigInvalid(
            source=f'models."{name}"',
            why="a model that is not in the catalogue needs input_usd_per_1m and output_usd_per_1m",
        )
    ways = _ways(name, base, differs)
    cached = differs.cached_input_usd_per_1m
    prices = _checked_prices(
        name,
        _price(name, differs.input_usd_per_1m, base.prices.input_nusd_per_1m if base else 0),
        _price(name, differs.output_usd_per_1m, base.prices.output_nusd_per_1m if base else 0),
        _price(name, cached, 0) if cached is not None else base.prices.cached_nusd_per_1m if base else None,
    )
    context = differs.context_tokens or (base.context_tokens if base else DEFAULT_CONTEXT_TOKENS)
    longest = differs.max_completion_tokens or (base.max_completion_tokens if base else DEFAULT_COMPLETION_TOKENS)
    search = differs.web_search_usd_per_call
    return ChatModel(
        id=name,
        prices=prices,
        context_tokens=context,
        max_completion_tokens=min(longest, context),
        **ways,
        o200k=base is not None and base.o200k and _is_called(name, ways),
        vision=base is not None and base.vision if differs.vision is None else differs.vision,
        image_rule=fixed_rule(differs.image_tokens) if differs.image_tokens else _image_rule(base),
        tiers={tier: _tier(name, prices) for tier, prices in differs.service_tiers.items()},
        web_search_nusd=_price(name, search, 0) if search is not None else None,
    )


def _is_called(name: str, ways: _Ways) -> bool:
    """Whether a model has its own name at all its engines: under another it is another model, with another vocabulary."""
    upstreams = (ways["upstream"], *(route.upstream for route in ways["others"]))
    return all(upstream in (None, name) for upstream in upstreams)


def _ways(name: str, base: Model | None, differs: ModelSettings) -> _Ways:
    """Return what models of all kinds have."""
    aliases = differs.aliases or (base.aliases if base else ())
    if not differs.engines:
        upstream = differs.upstream if differs.engine else None
        return _Ways(engine=differs.engine, upstream=upstream, others=(), weight=None, aliases=aliases)
    if differs.engine is not None:
        raise ConfigInvalid(source=f'models."{name}"', why="has both engine and engines; keep one of them")
    given = [ModelRoute(each, differs.upstream) if isinstance(each, str) else each for each in differs.engines]
    if len({each.name for each in given}) < len(given):
        raise ConfigInvalid(source=f'models."{name}".engines', why="names an engine twice")
    first, *others = [Route(each.name, each.upstream or differs.upstream, each.weight) for each in given]
    weighted = any(isinstance(each, ModelRoute) and each.weight != 1 for each in differs.engines)
    if weighted and not any(route.weight for route in (first, *others)):
        raise ConfigInvalid(source=f'models."{name}".engines', why="gives no engine a weight above 0")
    weight = first.weight if weighted else None
    return _Ways(engine=first.engine, upstream=first.upstream, others=tuple(others), weight=weight, aliases=aliases)


def _tier(name: str, tier: TierSettings) -> TokenPrices:
    cached = tier.cached_input_usd_per_1m
    return _checked_prices(
        name,
        _price(name, tier.input_usd_per_1m, 0),
        _price(name, tier.output_usd_per_1m, 0),
        _price(name, cached, 0) if cached is not None else None,
    )


def _checked_prices(name: str, input_nusd: int, output_nusd: int, cached_nusd: int | None) -> TokenPrices:
    """Return prices whose cached tokens cost no more than others: a call is held as though none was cached."""
    if cached_nusd is not None and cached_nusd > input_nusd:
        raise ConfigInvalid(source=f'models."{name}"', why="has a cached_input_usd_per_1m above its input_usd_per_1m")
    return TokenPrices(input_nusd, output_nusd, cached_nusd)


def _image_rule(base: ChatModel | None) -> str:
    return base.image_rule if base is not None and base.image_rule else fixed_rule(DEFAULT_IMAGE_TOKENS)


def _price(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        price = parse_usd(text)
    except InvalidAmount as error:
        raise ConfigInvalid(source=f'models."{name}"', why=error.message) from None
    if price > MAX_PRICE_NUSD:
        why = f"the price {text} USD is over {format_usd(MAX_PRICE_NUSD)}"
        raise ConfigInvalid(source=f'models."{name}"', why=why)
    return price
