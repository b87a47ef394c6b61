"""Models are found by id and alias, and answer for the engine that serves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from minitoolai.core.builtin_models import EMBEDDING_MODELS, SEED_CHAT_MODELS, SPEECH_MODELS, TRANSCRIPTION_MODELS
from minitoolai.core.catalog import (
    Catalog,
    ChatModel,
    EmbeddingModel,
    PictureModel,
    Route,
    SpeechModel,
    TranscriptionModel,
    by_id,
    served_by,
)
from minitoolai.core.errors import InvalidValue, ModelNotFound, NoEngine
from minitoolai.core.money import format_usd
from minitoolai.core.pricing import TokenPrices

#: Contract §5.
SEED_PRICES = {
    "gpt-4o-mini": ("0.15", "0.6"),
    "gpt-4o": ("2.5", "10"),
    "gpt-4.1": ("2", "8"),
    "gpt-4.1-mini": ("0.4", "1.6"),
    "gpt-4.1-nano": ("0.1", "0.4"),
}


def model(name: str, *, engine: str | None = "e", aliases: tuple[str, ...] = (), upstream: str | None = None) -> ChatModel:
    """A model."""
    return ChatModel(name, TokenPrices(1, 2), 1000, 100, engine=engine, aliases=aliases, upstream=upstream)


def test_the_seed_models_cost_what_the_seed_says() -> None:
    """Names, order and prices."""
    shown = {
        each.id: (format_usd(each.prices.input_nusd_per_1m), format_usd(each.prices.output_nusd_per_1m))
        for each in SEED_CHAT_MODELS
    }
    assert list(shown.items()) == list(SEED_PRICES.items())


def test_a_model_is_found_by_id_and_by_alias() -> None:
    """The same model under both names."""
    catalog = Catalog([model("a", aliases=("a-2024",)), model("b")])
    assert catalog.chat_model("a-2024") is catalog.chat_model("a")
    assert catalog.ids() == ["a", "b"]


def test_an_id_comes_before_an_alias_and_the_first_alias_before_the_next() -> None:
    """A model cannot take another's name."""
    catalog = Catalog([model("a", aliases=("b", "c")), model("b", aliases=("c",))])
    assert catalog.chat_model("b").id == "b"
    assert catalog.chat_model("c").id == "a"


def test_an_unknown_model_is_not_found() -> None:
    """The error names it."""
    with pytest.raises(ModelNotFound) as caught:
        Catalog([model("a")]).chat_model("gpt-9")
    assert caught.value.param == "model"
    assert "'gpt-9'" in caught.value.message


def test_a_model_without_an_engine_is_known_and_not_served() -> None:
    """503 and not 404: it may come back."""
    catalog = Catalog([model("a", engine=None), model("b")])
    with pytest.raises(NoEngine) as caught:
        catalog.chat_model("a")
    assert caught.value.retry_after_s == 60
    assert catalog.served() == [catalog.chat_model("b")]


def test_models_without_an_engine_are_given_one() -> None:
    """Those that have one keep it, and are no starters."""
    given = list(served_by([model("a", engine=None), model("b", engine="own")], {"chat": "local"}, starter=True))
    assert [(each.engine, each.starter) for each in given] == [("local", True), ("own", False)]
    assert not next(iter(served_by([model("a", engine=None)], {"chat": "local"}))).starter
    assert by_id(given) == {"a": given[0], "b": given[1]}


def test_a_model_may_have_another_name_at_its_engine() -> None:
    """By default it has the same."""
    assert model("a").upstream_id == "a"
    assert replace(model("a"), upstream="llama3.2:1b").upstream_id == "llama3.2:1b"


def test_the_embedding_models_cost_what_openai_asks() -> None:
    """Only their input has a price."""
    shown = {each.id: (format_usd(each.prices.input_nusd_per_1m), each.dimensions) for each in EMBEDDING_MODELS}
    assert shown == {"text-embedding-3-small": ("0.02", 1536), "text-embedding-3-large": ("0.13", 3072)}
    assert all(each.prices.output_nusd_per_1m == 0 and each.context_tokens == 8192 for each in EMBEDDING_MODELS)


def test_a_model_is_asked_for_what_it_does() -> None:
    """One that embeds does not chat, and the other way round; `param` is model."""
    embeds = EmbeddingModel("e", TokenPrices(1, 0), 1000, engine="x", aliases=("f",))
    speaks, hears = SpeechModel("s", 1, engine="x"), TranscriptionModel("t", 1, engine="x")
    catalog = Catalog([model("a"), embeds, PictureModel("p", 1, engine="x"), speaks, hears])
    assert (catalog.speech_model("s").id, catalog.transcription_model("t").id) == ("s", "t")
    assert catalog.picture_model("p").id == "p"
    assert catalog.embedding_model("f").id == "e"
    assert catalog.model("a") is catalog.chat_model("a")
    asked: list[tuple[Callable[[str], object], str]] = [
        (catalog.chat_model, "f"), (catalog.chat_model, "p"), (catalog.embedding_model, "a"), (catalog.picture_model, "a"),
        (catalog.speech_model, "t"), (catalog.transcription_model, "s"),
    ]  # fmt: skip
    for ask, name in asked:
        with pytest.raises(InvalidValue, match=f"'{name}'") as caught:
            ask(name)
        assert caught.value.param == "model"


def test_what_a_model_does_instead_is_said() -> None:
    """Whoever named it in the wrong place learns where it belongs."""
    catalog = Catalog([SpeechModel("s", 1, engine="x")])
    with pytest.raises(InvalidValue, match=r"'s' speaks\. Use it in /v1/audio/speech, or name a chat model\."):
        catalog.chat_model("s")


def test_speech_is_priced_by_characters() -> None:
    """OpenAI's prices and ours; rounded once, half up."""
    prices = {each.id: format_usd(each.character_nusd_per_1m) for each in SPEECH_MODELS}
    assert prices == {"tts-1": "15", "tts-1-hd": "30", "espeak-ng": "1"}
    assert [each.cost_nusd(37) for each in SPEECH_MODELS] == [555_000, 1_110_000, 37_000]
    assert [SpeechModel("odd", 500_000).cost_nusd(characters) for characters in (0, 1, 2, 3)] == [0, 1, 1, 2]


def test_transcription_is_priced_by_the_minute() -> None:
    """To the millisecond; rounded once, half up."""
    prices = {each.id: format_usd(each.minute_nusd) for each in TRANSCRIPTION_MODELS}
    assert prices == {"whisper-1": "0.006", "gpt-4o-transcribe": "0.006", "gpt-4o-mini-transcribe": "0.003"}
    whisper = TRANSCRIPTION_MODELS[0]
    assert [whisper.cost_nusd(ms) for ms in (0, 1, 60_000, 90_001)] == [0, 100, 6_000_000, 9_000_100]
    assert [TranscriptionModel("odd", 30_000).cost_nusd(ms) for ms in (0, 1, 2, 3)] == [0, 1, 1, 2]


def test_each_kind_has_a_stand_in_of_its_own() -> None:
    """What a tiny chat model would embed is worth nothing."""
    embeds = EmbeddingModel("e", TokenPrices(1, 0), 1000)
    draws = PictureModel("p", 1)
    served = served_by([model("a", engine=None), embeds, draws], {"chat": "s", "image": "d"}, starter=True)
    assert [each.engine for each in served] == ["s", None, "d"]
    assert [each.engine for each in served_by([embeds], {"embedding": "openai"})] == ["openai"]


def test_an_embedding_model_has_routes_like_any_other() -> None:
    """Its name at each engine may differ."""
    embeds = EmbeddingModel("e", TokenPrices(1, 0), 1000, engine="x", others=(Route("y", "theirs"),))
    assert [embeds.by(route).upstream_id for route in embeds.routes] == ["e", "theirs"]
