"""Embedding models as the settings make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.core.builtin_models import EMBEDDING_MODELS
from minitoolai.core.catalog import ChatModel, EmbeddingModel, Model
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.runtime.catalogue import models_of
from minitoolai.runtime.catalogue_models import DEFAULT_TEXT_TOKENS
from minitoolai.runtime.config import load_settings

SMALL = "text-embedding-3-small"
ENGINES = """
[engines.up]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
[engines.other]
kind = "openai"
base_url = "http://127.0.0.1:2/v1"
[engines.chats]
kind = "llama"
model_path = "/m.gguf"
[engines.embeds]
kind = "llama"
model_path = "/e.gguf"
embeddings = true
"""


def catalogue(tmp_path: Path, text: str, **environment: str) -> dict[str, Model]:
    """The models that some settings make."""
    file = tmp_path / "minitoolai.toml"
    file.write_text(text)
    return {model.id: model for model in models_of(load_settings(environment, file), environment)}


def embedding(tmp_path: Path, table: str, name: str = "x") -> EmbeddingModel:
    """One embedding model."""
    model = catalogue(tmp_path, f'{ENGINES}[models."{name}"]\n{table}')[name]
    assert isinstance(model, EmbeddingModel)
    return model


def test_they_go_to_openai_with_its_key_alone_and_are_not_served_in_the_sandbox(tmp_path: Path) -> None:
    """The starter would embed nonsense."""
    for environment, engine in (({}, None), ({"OPENAI_API_KEY": "sk-x"}, "openai")):
        models = catalogue(tmp_path, "", **environment)
        assert [models[each.id].engine for each in EMBEDDING_MODELS] == [engine, engine]
        assert all(model.engine for model in models.values() if model.kind == "chat")
        assert not any(model.starter for model in models.values() if isinstance(model, EmbeddingModel))


def test_one_of_the_catalogue_keeps_what_the_settings_leave_out(tmp_path: Path) -> None:
    """Price, length, dimensions and vocabulary; under another name at its engine it is another model."""
    own = embedding(tmp_path, 'engine = "up"', SMALL)
    assert (own.prices.input_nusd_per_1m, own.context_tokens, own.dimensions, own.cl100k) == (2 * 10**7, 8192, 1536, True)
    for other in ('engine = "up"\nupstream = "bge-m3"', 'engines = ["up", {name = "other", upstream = "bge-m3"}]'):
        foreign = embedding(tmp_path, other, SMALL)
        assert (foreign.dimensions, foreign.cl100k) == (None, False)
    given = embedding(tmp_path, 'kind = "embedding"\nengine = "up"\ninput_usd_per_1m = "1"\ndimensions = 8', SMALL)
    assert (given.prices.input_nusd_per_1m, given.dimensions) == (10**9, 8)


def test_one_of_the_operators_needs_a_price_of_its_input_alone(tmp_path: Path) -> None:
    """Everything else has a default."""
    model = embedding(tmp_path, 'kind = "embedding"\nengine = "embeds"\ninput_usd_per_1m = "0.01"')
    assert (model.context_tokens, model.dimensions, model.cl100k) == (DEFAULT_TEXT_TOKENS, None, False)
    assert (model.prices.input_nusd_per_1m, model.prices.output_nusd_per_1m) == (10**7, 0)


@pytest.mark.parametrize(
    ("name", "table", "why"),
    [
        ("x", 'kind = "embedding"\nengine = "up"', "needs input_usd_per_1m"),
        ("x", 'kind = "embedding"\ninput_usd_per_1m = "1"\noutput_usd_per_1m = "1"', "output_usd_per_1m: is nothing"),
        ("x", 'kind = "embedding"\ninput_usd_per_1m = "1"\nvision = true', "vision: is nothing"),
        ("x", 'kind = "embedding"\ninput_usd_per_1m = "1"\nengine = "chats"', "embeddings = true"),
        ("x", 'input_usd_per_1m = "1"\noutput_usd_per_1m = "1"\nengine = "embeds"', "its llama engine embeds"),
        ("x", 'input_usd_per_1m = "1"\noutput_usd_per_1m = "1"\ndimensions = 5', "dimensions: is nothing"),
        ("gpt-4o", 'kind = "embedding"', "is 'chat' in the catalogue"),
        (SMALL, 'kind = "chat"', "is 'embedding' in the catalogue"),
        (SMALL, 'max_completion_tokens = 5', "max_completion_tokens: is nothing"),
    ],
)  # fmt: skip
def test_settings_of_the_other_kind_are_refused(tmp_path: Path, name: str, table: str, why: str) -> None:
    """With the setting's name and the remedy."""
    with pytest.raises(ConfigInvalid, match=why):
        catalogue(tmp_path, f'{ENGINES}[models."{name}"]\n{table}')


def test_kinds_do_not_change_a_chat_model(tmp_path: Path) -> None:
    """`chat` may be written."""
    table = 'kind = "chat"\ninput_usd_per_1m = "1"\noutput_usd_per_1m = "1"\nengine = "chats"'
    assert isinstance(catalogue(tmp_path, f"{ENGINES}[models.x]\n{table}")["x"], ChatModel)


def test_under_another_name_at_any_engine_a_chat_model_is_another(tmp_path: Path) -> None:
    """Its tokens are not OpenAI's, by which a call would be held too low."""
    for table, own in (
        ('engine = "up"', True),
        ('engines = ["up", "other"]', True),
        ('engine = "up"\nupstream = "llama"', False),
        ('engines = ["up", "other"]\nupstream = "llama"', False),
        ('engines = ["up", {name = "other", upstream = "llama"}]', False),
    ):
        model = catalogue(tmp_path, f"{ENGINES}[models.gpt-4o]\n{table}")["gpt-4o"]
        assert isinstance(model, ChatModel)
        assert model.o200k is own


def test_cached_tokens_cost_no_more_than_others(tmp_path: Path) -> None:
    """A call is held as though none was cached, so a dearer price could not be paid; also at a tier."""
    prices = 'input_usd_per_1m = "1"\noutput_usd_per_1m = "1"\ncached_input_usd_per_1m = '
    catalogue(tmp_path, f'{ENGINES}[models.x]\n{prices}"1"')
    for table in (f'{prices}"1.1"', f'{prices}"1"\n[models.x.service_tiers.flex]\n{prices}"2"'):
        with pytest.raises(ConfigInvalid, match="cached_input_usd_per_1m above"):
            catalogue(tmp_path, f"{ENGINES}[models.x]\n{table}")
