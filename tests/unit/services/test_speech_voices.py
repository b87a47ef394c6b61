"""Which voices there are: of engines that say so, for keys that may use them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from minitoolai.core.catalog import Catalog, SpeechModel
from minitoolai.core.errors import InvalidValue, ModelNotAllowed, ModelNotFound, UpstreamError
from minitoolai.core.speech import OPENAI_VOICES, Voice
from minitoolai.services import speech_voices
from minitoolai.services.routing import Router
from minitoolai.services.speech_ports import SpeechEngine
from minitoolai.services.speech_voices import ListedVoice, Voices
from tests.support.fakes import principal
from tests.support.speaking import FakeSpeaker
from tests.unit.services.speech_room import CHAT

POLISH, ENGLISH = Voice("pl", "Polish", "pl", "male"), Voice("en-us", "American", "en-US")
RP = Voice("en-rp", "Received Pronunciation", "en-GB-x-rp")


def made(*speakers: FakeSpeaker) -> Voices:
    """The voices of models that are called as their engines are, "-model" behind."""
    models = [SpeechModel(f"{each.name}-model", 1, engine=each.name) for each in speakers]
    engines: dict[str, SpeechEngine] = {each.name: each for each in speakers}
    router: Router[SpeechModel, SpeechEngine] = Router(engines, {}, random.Random(1))
    return Voices(Catalog([*models, SpeechModel("away", 1), CHAT]), router)


def speaker(name: str, *has: Voice) -> FakeSpeaker:
    """An engine with voices."""
    found = FakeSpeaker(name=name)
    found.has = has
    return found


def own(listed: Sequence[ListedVoice]) -> list[tuple[str, list[str]]]:
    """The voices that are not OpenAI's, by id, and their models."""
    return [(each.voice.id, each.models) for each in listed if each.voice.id not in OPENAI_VOICES]


async def test_every_engines_voices_are_listed_once() -> None:
    """With the models that have each; OpenAI's names first, which speak any language."""
    voices = made(speaker("a", POLISH, ENGLISH, ENGLISH), speaker("b", ENGLISH))
    listed = await voices.listed(principal())
    assert [each.voice.id for each in listed[: len(OPENAI_VOICES)]] == list(OPENAI_VOICES)
    assert {(each.voice.language, tuple(each.models)) for each in listed[: len(OPENAI_VOICES)]} == {
        ("", ("a-model", "b-model"))
    }
    assert own(listed) == [("pl", ["a-model"]), ("en-us", ["a-model", "b-model"])]


async def test_of_one_model_or_of_one_language() -> None:
    """A language is a range: `en` is any English, and a voice of no language speaks it too."""
    voices = made(speaker("a", POLISH, ENGLISH, RP), speaker("b", ENGLISH))
    assert own(await voices.listed(principal(), "b-model")) == [("en-us", ["b-model"])]
    for language, ids in {"EN": ["en-us", "en-rp"], "en-gb": ["en-rp"], "pl": ["pl"], "p": [], "xx": []}.items():
        listed = await voices.listed(principal(), "a-model", language)
        assert [voice for voice, _ in own(listed)] == ids
        assert len(listed) == len(ids) + len(OPENAI_VOICES)


async def test_a_key_sees_what_it_may_use() -> None:
    """No voice of another model; a model that is asked for by name is refused as everywhere."""
    voices = made(speaker("a", POLISH), speaker("b", ENGLISH))
    narrow = principal(models=frozenset({"b-model"}))
    assert own(await voices.listed(narrow)) == [("en-us", ["b-model"])]
    with pytest.raises(ModelNotAllowed):
        await voices.listed(narrow, "a-model")
    with pytest.raises(ModelNotFound):
        await voices.listed(principal(), "nothing")
    with pytest.raises(InvalidValue):
        await voices.listed(principal(), "m")
    assert await voices.listed(principal(), "away") == []


async def test_an_engine_that_is_down_or_slow_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are listed all the same."""
    monkeypatch.setattr(speech_voices, "ASK_S", 0.01)
    broken, slow = speaker("broken"), speaker("slow")
    broken.has = UpstreamError(model="broken-model")

    async def hang() -> Sequence[Voice]:
        await asyncio.sleep(60)
        return ()

    slow.has = hang
    listed = await made(broken, speaker("a", POLISH), slow).listed(principal())
    assert {tuple(each.models) for each in listed} == {("a-model",)}
    assert own(listed) == [("pl", ["a-model"])]
    assert await made(broken).listed(principal()) == []
