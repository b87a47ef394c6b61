"""From the settings to the models and engines that this server has, the sandbox included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import minitoolai
from minitoolai.core.catalog import (
    EMBEDDING_MODELS,
    SEED_CHAT_MODELS,
    SEED_PICTURE_MODELS,
    ChatModel,
    EmbeddingModel,
    Model,
    PictureModel,
    Route,
    by_id,
    served_by,
)
from minitoolai.core.images import fixed_rule
from minitoolai.core.inner_errors import ConfigInvalid, InvalidAmount
from minitoolai.core.money import MAX_PRICE_NUSD, format_usd, parse_usd
from minitoolai.core.pricing import TokenPrices
from minitoolai.runtime.settings import (
    EngineSettings,
    LlamaEngineSettings,
    ModelRoute,
    ModelSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    Settings,
    TierSettings,
)
from minitoolai.runtime.vision import DEFAULT_IMAGE_TOKENS, with_sight

STARTER = "starter"
STARTER_PICTURES = "starter-pictures"
#: What the starter calls itself in replies.
STARTER_ALIAS = "minitoolai-starter"
#: Tokens of prompt and answer together that the starter was trained for.
STARTER_CONTEXT_TOKENS = 2048
_MODELS = Path(minitoolai.__file__).parent / "children" / "models"
STARTER_MODEL = _MODELS / "starter-chat.gguf"
STARTER_PICTURE_MODEL = _MODELS / "starter-picture"
#: Pixels of a side that it was trained for.
STARTER_NATIVE_SIZE = 256
OPENAI_URL = "https://api.openai.com/v1"
#: For a model that the operator adds without saying: what most models of today can do at least.
DEFAULT_CONTEXT_TOKENS = 128_000
DEFAULT_COMPLETION_TOKENS = 16_384
#: Of one text, for an embedding model: what OpenAI's and most of today's read.
DEFAULT_TEXT_TOKENS = 8192

#: Settings that only one kind of model has, and all settings as they are when nothing is set.
_OF_CHAT = (
    "output_usd_per_1m", "cached_input_usd_per_1m", "service_tiers", "web_search_usd_per_call",
    "max_completion_tokens", "vision", "image_tokens",
)  # fmt: skip
_OF_EMBEDDING = ("dimensions",)
_OF_TOKENS = ("input_usd_per_1m", "context_tokens")
_OF_IMAGE = ("usd_per_image", "native_size", "sizes")
_NOT_OF = {
    "chat": (*_OF_EMBEDDING, *_OF_IMAGE),
    "embedding": (*_OF_CHAT, *_OF_IMAGE),
    "image": (*_OF_CHAT, *_OF_EMBEDDING, *_OF_TOKENS),
}
_UNCHANGED = ModelSettings()
#: Which starter stands in for which kind of model.
_STARTERS = {"chat": STARTER, "image": STARTER_PICTURES}


def sandbox_is_on(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether the starter engines serve the seed's models."""
    if settings.sandbox == "auto":
        return not settings.engines and not environment.get("OPENAI_API_KEY")
    return settings.sandbox == "on"


def engines_of(settings: Settings, environment: Mapping[str, str]) -> dict[str, EngineSettings]:
    """Return all engines by name: those configured, OpenAI where only its key is set, the starter in the sandbox."""
    engines: dict[str, EngineSettings] = dict(settings.engines)
    if not engines and environment.get("OPENAI_API_KEY"):
        engines["openai"] = OpenAIEngineSettings(base_url=OPENAI_URL, api_key_env="OPENAI_API_KEY")
    if sandbox_is_on(settings, environment):
        engines[STARTER] = LlamaEngineSettings(model_path=str(STARTER_MODEL), context_tokens=STARTER_CONTEXT_TOKENS)
        engines[STARTER_PICTURES] = OnnxEngineSettings(model_path=str(STARTER_PICTURE_MODEL))
    return engines


def models_of(settings: Settings, environment: Mapping[str, str]) -> list[Model]:
    """Return the catalogue: the built-in models and the operator's over them. Raises `ConfigInvalid`."""
    models: dict[str, Model] = {
        **by_id(SEED_CHAT_MODELS),
        **by_id(EMBEDDING_MODELS),
        **by_id(SEED_PICTURE_MODELS),
    }
    for name, differs in settings.models.items():
        models[name] = _model(name, models.get(name), differs, settings.engines)
    listed = list(models.values())
    if sandbox_is_on(settings, environment):
        return [_as_starter(model) for model in served_by(listed, _STARTERS, starter=True)]
    if not settings.engines and environment.get("OPENAI_API_KEY"):
        return list(served_by(listed, {"chat": "openai", "embedding": "openai"}))
    return listed


def _model(name: str, base: Model | None, differs: ModelSettings, engines: Mapping[str, EngineSettings]) -> Model:
    own = None if base is None else base.kind
    if own is not None and differs.kind not in (None, own):
        raise ConfigInvalid(source=f'models."{name}".kind', why=f"is '{own}' in the catalogue; give another name")
    kind = own or differs.kind or "chat"
    _check_kind(name, differs, engines, kind)
    if kind == "image":
        return _picture_model(name, base if isinstance(base, PictureModel) else None, differs)
    if kind == "embedding":
        return _embedding_model(name, base if isinstance(base, EmbeddingModel) else None, differs)
    return with_sight(_chat_model(name, base if isinstance(base, ChatModel) else None, differs), differs, engines)


def _check_kind(name: str, differs: ModelSettings, engines: Mapping[str, EngineSettings], kind: str) -> None:
    """Refuse settings and engines of the other kinds of model."""
    given = [setting for setting in _NOT_OF[kind] if getattr(differs, setting) != getattr(_UNCHANGED, setting)]
    if given:
        article = "a" if kind == "chat" else "an"
        raise ConfigInvalid(
            source=f'models."{name}".{given[0]}', why=f"is nothing that {article} {kind} model has; remove it"
        )
    named = [differs.engine, *(each if isinstance(each, str) else each.name for each in differs.engines)]
    for engine in (engines.get(each) for each in named if each is not None):
        if why := _unfit(engine, kind):
            raise ConfigInvalid(source=f'models."{name}"', why=why)


def _unfit(engine: EngineSettings | None, kind: str) -> str | None:
    """Return why an engine cannot serve a model of that kind; None: it may."""
    if isinstance(engine, OnnxEngineSettings):
        return None if kind == "image" else 'is no image model, and its onnx engine draws: set kind = "image"'
    if not isinstance(engine, LlamaEngineSettings):
        return None
    if kind == "image":
        return "draws, and its llama engine does not: give it an onnx or openai engine"
    if engine.embeddings == (kind == "embedding"):
        return None
    return "chats, and its llama engine embeds" if engine.embeddings else "embeds: its llama engine needs embeddings = true"


def _picture_model(name: str, base: PictureModel | None, differs: ModelSettings) -> PictureModel:
    if base is None and differs.usd_per_image is None:
        raise ConfigInvalid(source=f'models."{name}"', why="an image model that is not in the catalogue needs usd_per_image")
    first, others, weight = _routes(name, differs)
    return PictureModel(
        id=name,
        image_nusd=_price(name, differs.usd_per_image, base.image_nusd if base else 0),
        native_size=differs.native_size,
        sizes=differs.sizes,
        engine=first.engine if first else None,
        upstream=first.upstream if first else None,
        others=others,
        weight=weight,
        aliases=differs.aliases or (base.aliases if base else ()),
    )


def _embedding_model(name: str, base: EmbeddingModel | None, differs: ModelSettings) -> EmbeddingModel:
    if base is None and differs.input_usd_per_1m is None:
        why = "an embedding model that is not in the catalogue needs input_usd_per_1m"
        raise ConfigInvalid(source=f'models."{name}"', why=why)
    first, others, weight = _routes(name, differs)
    own = base is not None and _is_called(name, first, others)
    return EmbeddingModel(
        id=name,
        prices=TokenPrices(_price(name, differs.input_usd_per_1m, base.prices.input_nusd_per_1m if base else 0), 0),
        context_tokens=differs.context_tokens or (base.context_tokens if base else DEFAULT_TEXT_TOKENS),
        engine=first.engine if first else None,
        upstream=first.upstream if first else None,
        others=others,
        weight=weight,
        aliases=differs.aliases or (base.aliases if base else ()),
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
    first, others, weight = _routes(name, differs)
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
        engine=first.engine if first else None,
        upstream=first.upstream if first else None,
        others=others,
        weight=weight,
        aliases=differs.aliases or (base.aliases if base else ()),
        o200k=base is not None and base.o200k and _is_called(name, first, others),
        vision=base is not None and base.vision if differs.vision is None else differs.vision,
        image_rule=fixed_rule(differs.image_tokens) if differs.image_tokens else _image_rule(base),
        tiers={tier: _tier(name, prices) for tier, prices in differs.service_tiers.items()},
        web_search_nusd=_price(name, search, 0) if search is not None else None,
    )


def _is_called(name: str, first: Route | None, others: tuple[Route, ...]) -> bool:
    """Whether a model has its own name at all its engines: under another it is another model, with another vocabulary."""
    return all(route.upstream in (None, name) for route in (first, *others) if route)


def _routes(name: str, differs: ModelSettings) -> tuple[Route | None, tuple[Route, ...], int | None]:
    """Return the first route, the others, and the first one's weight where any has one."""
    if not differs.engines:
        return (Route(differs.engine, differs.upstream) if differs.engine else None), (), None
    if differs.engine is not None:
        raise ConfigInvalid(source=f'models."{name}"', why="has both engine and engines; keep one of them")
    given = [ModelRoute(each, differs.upstream) if isinstance(each, str) else each for each in differs.engines]
    if len({each.name for each in given}) < len(given):
        raise ConfigInvalid(source=f'models."{name}".engines', why="names an engine twice")
    routes = [Route(each.name, each.upstream or differs.upstream, each.weight) for each in given]
    weighted = any(isinstance(each, ModelRoute) and each.weight != 1 for each in differs.engines)
    if weighted and not any(route.weight for route in routes):
        raise ConfigInvalid(source=f'models."{name}".engines', why="gives no engine a weight above 0")
    return routes[0], tuple(routes[1:]), routes[0].weight if weighted else None


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
        why = f"the price {text} USD per million tokens is over {format_usd(MAX_PRICE_NUSD)}"
        raise ConfigInvalid(source=f'models."{name}"', why=why)
    return price


def _as_starter(model: Model) -> Model:
    if isinstance(model, PictureModel) and model.starter:
        return replace(model, upstream=STARTER_ALIAS, native_size=STARTER_NATIVE_SIZE)
    if not isinstance(model, ChatModel) or not model.starter:
        return model
    return replace(
        model,
        upstream=STARTER_ALIAS,
        context_tokens=STARTER_CONTEXT_TOKENS,
        max_completion_tokens=STARTER_CONTEXT_TOKENS,
        o200k=False,
        vision=False,
    )
