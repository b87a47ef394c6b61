"""Which models see pictures, as the settings and their engines have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from minitoolai.core.catalog import ChatModel
from minitoolai.core.images import fixed_rule
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.runtime.settings import EngineSettings, LlamaEngineSettings, OpenAIEngineSettings

#: The most that a picture is with OpenAI's GPT-4o: eight tiles.
DEFAULT_IMAGE_TOKENS = 1445

_Engines = Mapping[str, EngineSettings]


def with_sight(model: ChatModel, differs: ModelSettings, engines: _Engines) -> ChatModel:
    """Return `model` with the sight that its `llama` engines have: one with a projector sees, by no rule of OpenAI's.

    Raises `ConfigInvalid` for `vision = true` without one.
    """
    local = [engine for engine in _engines_of(model, engines) if isinstance(engine, LlamaEngineSettings)]
    if not local:
        return model
    sees = all(engine.mmproj_path is not None for engine in local)
    if differs.vision and not sees:
        why = "is true, and its llama engine has no mmproj_path: give it its vision projector, or omit vision"
        raise ConfigInvalid(source=f'models."{model.id}".vision', why=why)
    return replace(
        model,
        vision=sees if differs.vision is None else differs.vision,
        image_rule=model.image_rule if differs.image_tokens else fixed_rule(DEFAULT_IMAGE_TOKENS),
    )


def pictures_are_inlined(models: Iterable[object], engines: _Engines) -> bool:
    """Whether some model sees pictures at an engine that does not fetch them itself."""
    seeing = (model for model in models if isinstance(model, ChatModel) and model.vision)
    return any(not _fetches_images(engine) for model in seeing for engine in _engines_of(model, engines))


def _engines_of(model: ChatModel, engines: _Engines) -> list[EngineSettings]:
    return [engines[route.engine] for route in model.routes if route.engine in engines]


def _fetches_images(engine: EngineSettings) -> bool:
    return isinstance(engine, OpenAIEngineSettings) and engine.fetches_images
