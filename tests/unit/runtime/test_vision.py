"""Which models see, by the catalogue, the settings and the engines; and when the decoder of pictures is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minitoolai.core.catalog import ChatModel
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.runtime.catalogue import engines_of, models_of
from minitoolai.runtime.examine import examine
from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.runtime.settings import EngineSettings, LlamaEngineSettings, OpenAIEngineSettings, Settings
from minitoolai.runtime.vision import pictures_are_inlined

ENGINES: dict[str, EngineSettings] = {
    "up": OpenAIEngineSettings(base_url="http://up/v1"),
    "behind": OpenAIEngineSettings(base_url="http://behind/v1", fetches_images=False),
    "blind": LlamaEngineSettings(model_path="m.gguf"),
    "eye": LlamaEngineSettings(model_path="m.gguf", mmproj_path="p.gguf"),
}


def settings(name: str, **model: Any) -> Settings:
    """Return settings with one model of one's own, or one of the catalogue's."""
    prices = {"input_usd_per_1m": "1", "output_usd_per_1m": "1"}
    return Settings(engines=ENGINES, models={name: ModelSettings(**{**prices, **model})})


def made(name: str, **model: Any) -> ChatModel:
    """Return the model that settings make."""
    (found,) = [each for each in models_of(settings(name, **model), {}) if each.id == name]
    assert isinstance(found, ChatModel)
    return found


@pytest.mark.parametrize(
    ("name", "model", "vision", "rule"),
    [
        ("gpt-4o-mini", {"engine": "up"}, True, "gpt-4o-mini"),
        ("gpt-4o-mini", {"engine": "up", "image_tokens": 9}, True, "fixed:9"),
        ("gpt-4o-mini", {"engine": "up", "vision": False}, False, "gpt-4o-mini"),
        ("gpt-4o-mini", {"engine": "blind"}, False, "fixed:1445"),
        ("gpt-4o-mini", {"engine": "eye"}, True, "fixed:1445"),
        ("mine", {"engine": "up"}, False, "fixed:1445"),
        ("mine", {"engine": "up", "vision": True}, True, "fixed:1445"),
        ("mine", {"engine": "eye"}, True, "fixed:1445"),
        ("mine", {"engine": "eye", "image_tokens": 576}, True, "fixed:576"),
        ("mine", {"engine": "eye", "vision": False}, False, "fixed:1445"),
        ("mine", {"engine": "blind"}, False, "fixed:1445"),
        ("mine", {"engines": ("eye", "blind")}, False, "fixed:1445"),
        ("gpt-4o", {"engines": ("up", "eye")}, True, "fixed:1445"),
    ],
)
def test_sight(name: str, model: dict[str, Any], vision: bool, rule: str) -> None:
    """A local engine's projector decides, where there is one; else the setting, else the catalogue."""
    found = made(name, **model)
    assert (found.vision, found.image_rule) == (vision, rule)


async def test_doctor_looks_at_the_projector(tmp_path: Path) -> None:
    """It says which file is missing, and which setting names it."""
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: what doctor says of projectors is NOT TESTED")
    model, projector = tmp_path / "m.gguf", tmp_path / "p.gguf"
    model.write_bytes(b"GGUF")
    engine = LlamaEngineSettings(model_path=str(model), mmproj_path=str(projector))
    for verdict, words in (("fail", "Correct mmproj_path."), ("ok", "")):
        findings = await examine(Settings(engines={"eye": engine}), {}, tmp_path)
        (found,) = [finding for finding in findings if finding.subject == "engine eye"]
        assert (found.verdict, found.remedy) == (verdict, words)
        assert str(projector) in found.text
        projector.write_bytes(b"GGUF")


def test_sight_without_a_projector_is_refused() -> None:
    """A setting that the engine cannot keep is refused by name."""
    with pytest.raises(ConfigInvalid, match="mmproj_path") as caught:
        made("mine", engine="blind", vision=True)
    assert 'models."mine".vision' in str(caught.value)


@pytest.mark.parametrize(
    ("given", "environment", "needed"),
    [
        (settings("gpt-4o", engine="up"), {}, False),
        (settings("gpt-4o", engine="behind"), {}, True),
        (settings("gpt-4o", engine="behind", vision=False), {}, False),
        (settings("gpt-4o", engines=("up", "behind")), {}, True),
        (settings("mine", engine="eye"), {}, True),
        (settings("mine", engine="blind"), {}, False),
        (Settings(), {}, False),
        (Settings(), {"OPENAI_API_KEY": "sk-x"}, False),
    ],
)
def test_when_pictures_are_decoded_here(given: Settings, environment: dict[str, str], needed: bool) -> None:
    """Only where a model that sees is served by an engine that does not fetch; never in the sandbox."""
    assert pictures_are_inlined(models_of(given, environment), engines_of(given, environment)) is needed
