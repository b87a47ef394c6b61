"""Which of an engine's voices speaks for a call."""

from __future__ import annotations

from typing import Any

import pytest

from minitoolai.children.speech.synthesis import Refused
from minitoolai.children.speech.voices import OPENAI_GENDERS, Voices
from minitoolai.core.speech import OPENAI_VOICES, SpeechRequest, Voice

THERE = [
    Voice("Anna-US", "Anna", "en-US", "female"), Voice("Bob-US", "Bob", "en-US", "male"),
    Voice("Carl-GB", "Carl", "en-GB", "male"), Voice("Dora-GB", "Dora", "en-GB", "female"), Voice("Ewa", "Ewa", "pl-PL"),
    Voice("Hui", "Hui", "zh-CN"),
]  # fmt: skip


def voices(default: str = "en-US", **changes: Any) -> Voices:
    """Return voices of three languages."""
    return Voices(THERE, default, **changes)


def found(text: str = "Hello there", default: str = "en-US", **fields: Any) -> str:
    """Return the id of the voice that speaks."""
    return voices(default).find(SpeechRequest(text, **fields)).id


def test_by_name() -> None:
    """A voice's own name is enough, in letters of either case, whatever the text is in."""
    assert found(voice="Carl-GB") == "Carl-GB"
    assert found("Dzień dobry", voice="carl-gb") == "Carl-GB"
    assert found(voice="EWA", language="pl") == "Ewa"


def test_a_name_that_nobody_has() -> None:
    """An unknown name is refused with the nearest there are, and with where all are listed."""
    with pytest.raises(Refused) as refused:
        found(voice="carl-gp")
    assert refused.value.refusal.field == "voice"
    assert "'carl-gp'. Did you mean 'Carl-GB'" in refused.value.refusal.why
    with pytest.raises(Refused, match=r"no voice 'x'\. GET /v1/audio/voices"):
        found(voice="x")


def test_a_voice_of_another_language() -> None:
    """A voice that does not speak the language that is asked for is refused, not used."""
    with pytest.raises(Refused) as refused:
        found(voice="Ewa", language="en")
    assert refused.value.refusal.field == "language"
    assert "'Ewa' speaks pl-PL" in refused.value.refusal.why


@pytest.mark.parametrize(
    ("language", "voice"),
    [
        ("en-GB", "Carl-GB"), ("en-gb", "Carl-GB"), ("en-US", "Anna-US"), ("en", "Anna-US"), ("en-AU", "Anna-US"),
        ("pl", "Ewa"), ("zh", "Hui"), ("cmn", "Hui"), ("cmn-Hans-CN", "Hui"),
    ],
)  # fmt: skip
def test_by_language(language: str, voice: str) -> None:
    """A language's region is kept where there is a voice of it, and else is no hindrance."""
    assert found(language=language) == voice


def test_a_language_that_nobody_speaks() -> None:
    """A language without a voice is refused with those that there are."""
    with pytest.raises(Refused, match=r"no voice here speaks 'de'. There are voices for: en, pl, zh\."):
        found(language="de")
    many = Voices([Voice(f"v{each}", "V", f"x{each}") for each in "abcdefghijklmnopqrstuvwxyz"], "xa")
    with pytest.raises(Refused, match=r"xs, xt, …\."):
        many.find(SpeechRequest("Hello", language="de"))


def test_by_the_text() -> None:
    """Where nothing is said, the text's language is spoken, and where that says nothing, the default."""
    assert found("Dzień dobry") == "Ewa"
    assert found("你好，世界") == "Hui"
    assert found("123", default="pl-PL") == "Ewa"
    assert found("How are you today?", default="pl-PL") == "Anna-US"
    assert found("How are you today?", default="en-GB") == "Carl-GB"
    assert found("123", default="de-DE") == "Anna-US"


def test_openai_names() -> None:
    """Every name of OpenAI's is a voice of the text's language, always the same, of its gender where that is known."""
    for name in OPENAI_VOICES:
        one = voices().find(SpeechRequest("Hello there", voice=name))
        assert one == voices().find(SpeechRequest("Hello again", voice=name))
        assert one.language == "en-US"
        assert name not in OPENAI_GENDERS or one.gender == OPENAI_GENDERS[name]
        assert found("Dzień dobry", voice=name) == "Ewa"
    assert found(voice="Onyx", language="en-GB") == "Carl-GB"
    assert set(OPENAI_GENDERS) <= set(OPENAI_VOICES)


def test_twins() -> None:
    """A voice made after one of OpenAI's bears its name, unless another region or language is asked for."""
    twins = voices(twins={"fable": ["Nobody", "Carl-GB"]})
    assert twins.find(SpeechRequest("Hello there", voice="fable")).id == "Carl-GB"
    assert twins.find(SpeechRequest("Hello", voice="fable", language="en-GB")).id == "Carl-GB"
    assert twins.find(SpeechRequest("Hello", voice="fable", language="en-US")).language == "en-US"
    assert twins.find(SpeechRequest("Dzień dobry", voice="fable")).id == "Ewa"


def test_a_voice_that_is_named_like_openais() -> None:
    """An engine's own voice of that name is the one that is meant."""
    own = Voices([Voice("zoe", "Zoe", "en"), Voice("nova", "Nova", "pl")], "en")
    assert own.find(SpeechRequest("Hello there", voice="nova")).id == "nova"
    assert own.find(SpeechRequest("Hello there", voice="nova", language="en")).id == "zoe"


def test_no_voices_are_no_engine() -> None:
    """An engine without voices is a mistake of ours."""
    with pytest.raises(ValueError, match="no voices"):
        Voices([], "en")
