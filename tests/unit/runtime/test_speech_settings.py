"""Models that speak or write down speech, and the engines that do it, as the settings make them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from minitoolai.core.catalog import Model, SpeechModel, TranscriptionModel
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.runtime.catalogue import engines_of, models_of, sandbox_is_on
from minitoolai.runtime.config import load_settings
from minitoolai.runtime.settings import (
    EspeakEngineSettings,
    KokoroEngineSettings,
    OpenAIEngineSettings,
    PiperEngineSettings,
    Settings,
)

NONE: Mapping[str, str] = {}
KEY = {"OPENAI_API_KEY": "sk-x"}
UP = '[engines.up]\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
ENGINES = f"""{UP}
[engines.chats]
kind = "llama"
model_path = "/m.gguf"
[engines.draws]
kind = "onnx"
model_path = "/sd"
[engines.piper]
kind = "piper"
model_path = "/voices"
"""
SPEAKS = 'kind = "speech"\nusd_per_1m_characters = "1"\n'
WRITES = 'kind = "transcription"\nusd_per_minute = "1"\n'
DRAWS = 'kind = "image"\nusd_per_image = "1"\n'


def settings(folder: Path, text: str, environment: Mapping[str, str] = NONE) -> Settings:
    """The settings that a file makes."""
    file = folder / "minitoolai.toml"
    file.write_text(text)
    return load_settings(environment, file)


def catalogue(folder: Path, text: str, environment: Mapping[str, str] = NONE, *, installed: bool = True) -> dict[str, Model]:
    """The models that some settings make, on a machine where espeak-ng is `installed` or not."""
    found = settings(folder, text, environment)
    engines = engines_of(found, environment, lambda: installed)
    return {model.id: model for model in models_of(found, environment, engines)}


@pytest.mark.parametrize(
    ("text", "environment", "installed", "expected"),
    [
        # The sandbox: espeak-ng stands in for OpenAI's voices and says so; nothing here writes down speech.
        ("", {}, True, "espeak* espeak* espeak none"),
        ("", {}, False, "none none none none"),
        ('espeak = "off"', {}, True, "none none none none"),
        # OpenAI's key alone: espeak-ng is no model of OpenAI's.
        ("", KEY, True, "openai openai espeak openai"),
        ("", KEY, False, "openai openai none openai"),
        # Something is configured: what has no engine has none, but espeak-ng, which is real as it comes.
        (UP, {}, True, "none none espeak none"),
        (f'{UP}[models.tts-1]\nengine = "up"', {}, True, "up none espeak none"),
        # The engine that is there without settings may be named like any other, and is there then.
        ('[models.tts-1]\nengine = "espeak"', {}, False, "espeak espeak* espeak none"),
        (f'espeak = "off"\n{UP}[models.espeak-ng]\nengine = "espeak"', {}, True, "none none espeak none"),
        # An engine of the operator's own takes its place.
        (f'{UP}[engines.mine]\nkind = "espeak"', {}, True, "none none mine none"),
    ],
)
def test_who_serves_the_built_in_models(
    tmp_path: Path, text: str, environment: dict[str, str], installed: bool, expected: str
) -> None:
    """By what is configured and installed: tts-1, tts-1-hd, espeak-ng and whisper-1; a star is a stand-in."""
    models = catalogue(tmp_path, text, environment, installed=installed)
    named = (models[name] for name in ("tts-1", "tts-1-hd", "espeak-ng", "whisper-1"))
    assert " ".join((model.engine or "none") + "*" * model.starter for model in named) == expected


def test_another_engine_called_espeak_does_not_speak_espeak(tmp_path: Path) -> None:
    """The name is the operator's once a table has it."""
    text = '[engines.espeak]\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"'
    assert catalogue(tmp_path, text)["espeak-ng"].engine is None
    assert isinstance(engines_of(settings(tmp_path, text), {}, lambda: True)["espeak"], OpenAIEngineSettings)


@pytest.mark.parametrize(
    ("text", "environment", "sandbox"),
    [
        ("", {}, True),
        ('[engines.espeak]\nkind = "espeak"\nlanguage = "pl"', {}, True),
        ('[engines.espeak]\nkind = "espeak"', KEY, False),
        ('[engines.espeak]\nkind = "espeak"\n' + UP, {}, False),
        ('[engines.piper]\nkind = "piper"\nmodel_path = "/v"', {}, True),
        ('[engines.kokoro]\nkind = "kokoro"\nmodel_path = "/v"', {}, True),
        ('[engines.kokoro]\nkind = "kokoro"\nmodel_path = "/v"', KEY, False),
    ],
)
def test_voices_of_this_machine_do_not_end_the_sandbox(
    tmp_path: Path, text: str, environment: dict[str, str], sandbox: bool
) -> None:
    """Nothing chats or draws by them; a key of OpenAI's still counts beside them."""
    found = settings(tmp_path, text, environment)
    assert sandbox_is_on(found, environment) is sandbox
    engines = engines_of(found, environment, lambda: True)
    assert ("openai" in engines) is (environment == KEY)
    assert engines["espeak"] == found.engines.get("espeak", EspeakEngineSettings())


def test_engines_that_speak_have_settings(tmp_path: Path) -> None:
    """Each of its kind, with defaults for what is left out."""
    text = (
        '[engines.a]\nkind = "espeak"\nlanguage = "pt-BR"\nparallel_jobs = 3\ntotal_s = 60\n'
        '[engines.b]\nkind = "piper"\nmodel_path = "/v/a.onnx"\nloaded = 2\nthreads = 1\n'
        '[engines.c]\nkind = "kokoro"\nmodel_path = "/k"\n'
    )
    assert settings(tmp_path, text).engines == {
        "a": EspeakEngineSettings(language="pt-BR", parallel_jobs=3, total_s=60),
        "b": PiperEngineSettings(model_path="/v/a.onnx", loaded=2, threads=1),
        "c": KokoroEngineSettings(model_path="/k"),
    }


def test_models_have_prices_of_their_own(tmp_path: Path) -> None:
    """By characters, or by the minute; written as text, and in variables too."""
    text = f'{ENGINES}[models.voice]\nkind = "speech"\nengine = "piper"\n[models.tts-1]\nusd_per_1m_characters = "7.5"\n'
    text += '[models.words]\nkind = "transcription"\nengine = "up"\n[models.whisper-1]\nusd_per_minute = "0.01"'
    prices = {
        "MINITOOLAI_MODELS__VOICE__USD_PER_1M_CHARACTERS": "2.50",
        "MINITOOLAI_MODELS__WORDS__USD_PER_MINUTE": "0.005",
    }
    models = catalogue(tmp_path, text, prices)
    assert models["voice"] == SpeechModel("voice", 2_500_000_000, engine="piper")
    assert models["tts-1"] == SpeechModel("tts-1", 7_500_000_000)
    assert models["words"] == TranscriptionModel("words", 5_000_000, engine="up")
    assert models["whisper-1"] == TranscriptionModel("whisper-1", 10_000_000)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('kind = "speech"\nengine = "piper"', "needs usd_per_1m_characters"),
        ('kind = "transcription"\nengine = "up"', "needs usd_per_minute"),
        (f'{SPEAKS}engine = "chats"', "speaks, and its llama engine does not"),
        (f'{SPEAKS}engine = "draws"', "its onnx engine draws"),
        (f'{WRITES}engine = "piper"', "its piper engine speaks: set kind"),
        (f'{WRITES}engine = "chats"', "writes down speech, and its llama engine does not"),
        (f'{DRAWS}engine = "espeak"', "its espeak engine speaks"),
        (f'{SPEAKS}usd_per_minute = "1"', "usd_per_minute: is nothing that a speech model"),
        (f'{DRAWS}usd_per_1m_characters = "1"', "usd_per_1m_characters: is nothing that an image"),
        ('kind = "speech"\nusd_per_1m_characters = "2000000"', "is over"),
        ('kind = "speech"\nusd_per_1m_characters = "dear"', "not an amount"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, table: str, why: str) -> None:
    """With the setting's name and the remedy."""
    with pytest.raises(ConfigInvalid, match=why):
        catalogue(tmp_path, f"{ENGINES}[models.x]\n{table}")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ('[engines.k]\nkind = "kokoro"\nmodel = "/m"', "did you mean 'engines.k.model_path'"),
        ('[engines.e]\nkind = "espeak"\nlanguage = "not a tag"', "engines"),
        ('[engines.e]\nkind = "espeek"', "the kinds are: openai, llama, onnx, espeak, piper, kokoro"),
        ('espeak = "on"', "espeak"),
        ('[models.tts-1]\nusd_per_1m_character = "1"', "did you mean 'models.\"tts-1\".usd_per_1m_characters'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, near: str) -> None:
    """With the nearest key there is, or the setting whose value cannot be."""
    with pytest.raises(ConfigInvalid, match=near):
        settings(tmp_path, text)
