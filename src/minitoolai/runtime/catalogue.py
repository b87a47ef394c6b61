"""From the settings to the models and engines that this server has, the sandbox included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import minitoolai
from minitoolai.core.builtin_models import (
    EMBEDDING_MODELS,
    ESPEAK_MODEL,
    SEED_CHAT_MODELS,
    SEED_PICTURE_MODELS,
    SPEECH_MODELS,
    TRANSCRIPTION_MODELS,
)
from minitoolai.core.catalog import ChatModel, Model, PictureModel, by_id, served_by
from minitoolai.runtime.catalogue_models import engines_named, model_of
from minitoolai.runtime.settings import (
    ESPEAK,
    EngineSettings,
    EspeakEngineSettings,
    KokoroEngineSettings,
    LlamaEngineSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    PiperEngineSettings,
    Settings,
)
from minitoolai.runtime.speech_packages import espeak_is_installed

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
OPENAI = "openai"
#: Which kinds of model go to OpenAI where only its key is set: it has those of the built-in catalogue.
_AT_OPENAI = dict.fromkeys(("chat", "embedding", "speech", "transcription"), OPENAI)


def sandbox_is_on(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether the starter engines serve the seed's models."""
    if settings.sandbox == "auto":
        return not _others_configured(settings) and not environment.get("OPENAI_API_KEY")
    return settings.sandbox == "on"


def engines_of(
    settings: Settings, environment: Mapping[str, str], espeak: Callable[[], bool] = espeak_is_installed
) -> dict[str, EngineSettings]:
    """Return all engines by name: those configured, OpenAI where only its key is set, espeak-ng where it is there
    (`espeak` says whether), the starter in the sandbox."""
    engines: dict[str, EngineSettings] = dict(settings.engines)
    if _only_openais_key(settings, environment):
        engines[OPENAI] = OpenAIEngineSettings(base_url=OPENAI_URL, api_key_env="OPENAI_API_KEY")
    if ESPEAK not in engines and (_names_espeak(settings) or (_speaks_unasked(settings) and espeak())):
        engines[ESPEAK] = EspeakEngineSettings()
    if sandbox_is_on(settings, environment):
        engines[STARTER] = LlamaEngineSettings(model_path=str(STARTER_MODEL), context_tokens=STARTER_CONTEXT_TOKENS)
        engines[STARTER_PICTURES] = OnnxEngineSettings(model_path=str(STARTER_PICTURE_MODEL))
    return engines


def models_of(
    settings: Settings, environment: Mapping[str, str], engines: Mapping[str, EngineSettings] | None = None
) -> list[Model]:
    """Return the catalogue: the built-in models and the operator's over them. Raises `ConfigInvalid`.

    `engines`: all that there are, where they are known; None: those of `engines_of`.
    """
    if engines is None:
        engines = engines_of(settings, environment)
    models: dict[str, Model] = {
        **by_id(SEED_CHAT_MODELS),
        **by_id(EMBEDDING_MODELS),
        **by_id(SEED_PICTURE_MODELS),
        **by_id(SPEECH_MODELS),
        **by_id(TRANSCRIPTION_MODELS),
    }
    for name, differs in settings.models.items():
        models[name] = model_of(name, models.get(name), differs, settings.engines)
    return list(_served(models, settings, environment, engines))


def _served(
    models: Mapping[str, Model], settings: Settings, environment: Mapping[str, str], engines: Mapping[str, EngineSettings]
) -> Iterator[Model]:
    """Yield the models, those without an engine of their own given one where this server has one for them."""
    speaks = next((name for name, engine in engines.items() if isinstance(engine, EspeakEngineSettings)), None)
    others: dict[str, str] = {}
    starter = sandbox_is_on(settings, environment)
    if starter:
        others = {"chat": STARTER, "image": STARTER_PICTURES, **({"speech": speaks} if speaks else {})}
    elif _only_openais_key(settings, environment):
        others = _AT_OPENAI
    for model in models.values():
        if model.id == ESPEAK_MODEL.id:
            # Real wherever it is, and nowhere else: it stands in for nothing.
            yield from served_by([model], {"speech": speaks} if speaks else {})
        else:
            yield from map(_as_starter, served_by([model], others, starter=starter))


def _others_configured(settings: Settings) -> bool:
    """Whether any engine is configured but those of this machine that only speak: nothing chats or draws by them."""
    speaking = EspeakEngineSettings | PiperEngineSettings | KokoroEngineSettings
    return any(not isinstance(engine, speaking) for engine in settings.engines.values())


def _only_openais_key(settings: Settings, environment: Mapping[str, str]) -> bool:
    return not _others_configured(settings) and bool(environment.get("OPENAI_API_KEY"))


def _names_espeak(settings: Settings) -> bool:
    """Whether a model is to be served by the engine that is there without settings."""
    return any(ESPEAK in engines_named(model) for model in settings.models.values())


def _speaks_unasked(settings: Settings) -> bool:
    configured = any(isinstance(engine, EspeakEngineSettings) for engine in settings.engines.values())
    return settings.espeak == "auto" and not configured


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
