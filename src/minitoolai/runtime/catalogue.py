"""From the settings to the models and engines that this server has, the sandbox included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import minitoolai
from minitoolai.core.catalog import SEED_CHAT_MODELS, ChatModel, by_id, served_by
from minitoolai.core.errors import ConfigInvalid, InvalidAmount
from minitoolai.core.money import MAX_PRICE_NUSD, format_usd, parse_usd
from minitoolai.core.pricing import TokenPrices
from minitoolai.runtime.settings import (
    LlamaEngineSettings,
    ModelSettings,
    OpenAIEngineSettings,
    Settings,
)

STARTER = "starter"
#: What the starter calls itself in replies.
STARTER_ALIAS = "minitoolai-starter"
#: Tokens of prompt and answer together that the starter was trained for.
STARTER_CONTEXT_TOKENS = 2048
STARTER_MODEL = Path(minitoolai.__file__).parent / "children" / "models" / "starter-chat.gguf"
OPENAI_URL = "https://api.openai.com/v1"
#: For a model that the operator adds without saying: what most models of today can do at least.
DEFAULT_CONTEXT_TOKENS = 128_000
DEFAULT_COMPLETION_TOKENS = 16_384

EngineSettings = OpenAIEngineSettings | LlamaEngineSettings


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
    return engines


def models_of(settings: Settings, environment: Mapping[str, str]) -> list[ChatModel]:
    """Return the catalogue: the seed's models and the operator's over them. Raises `ConfigInvalid`."""
    models = dict(by_id(SEED_CHAT_MODELS))
    for name, differs in settings.models.items():
        models[name] = _model(name, models.get(name), differs)
    listed = list(models.values())
    if sandbox_is_on(settings, environment):
        return [_as_starter(model) for model in served_by(listed, STARTER, starter=True)]
    if not settings.engines and environment.get("OPENAI_API_KEY"):
        return list(served_by(listed, "openai"))
    return listed


def _model(name: str, base: ChatModel | None, differs: ModelSettings) -> ChatModel:
    if base is None and (differs.input_usd_per_1m is None or differs.output_usd_per_1m is None):
        raise ConfigInvalid(
            source=f'models."{name}"',
            why="a model that is not in the catalogue needs input_usd_per_1m and output_usd_per_1m",
        )
    prices = TokenPrices(
        _price(name, differs.input_usd_per_1m, base.prices.input_nusd_per_1m if base else 0),
        _price(name, differs.output_usd_per_1m, base.prices.output_nusd_per_1m if base else 0),
    )
    context = differs.context_tokens or (base.context_tokens if base else DEFAULT_CONTEXT_TOKENS)
    longest = differs.max_completion_tokens or (base.max_completion_tokens if base else DEFAULT_COMPLETION_TOKENS)
    return ChatModel(
        id=name,
        prices=prices,
        context_tokens=context,
        max_completion_tokens=min(longest, context),
        engine=differs.engine,
        upstream=differs.upstream,
        aliases=differs.aliases or (base.aliases if base else ()),
        o200k=base is not None and base.o200k and differs.upstream in (None, name),
    )


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


def _as_starter(model: ChatModel) -> ChatModel:
    if not model.starter:
        return model
    return replace(
        model,
        upstream=STARTER_ALIAS,
        context_tokens=STARTER_CONTEXT_TOKENS,
        max_completion_tokens=STARTER_CONTEXT_TOKENS,
        o200k=False,
    )
