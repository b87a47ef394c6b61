"""espeak-ng as an engine: voices by many names, and speech that is that of its text."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

import pytest

from minitoolai.children.espeak.synthesis import Espeak
from minitoolai.children.speech.synthesis import Refused
from minitoolai.core.speech import OPENAI_VOICES, SpeechRequest

#: A sentence in each of the languages that must speak, and the voice that is chosen for it.
TEXTS = {
    "gmw/en-US": "The weather is fine today, and we are going for a long walk.",
    "zlw/pl": "Pogoda jest dziś piękna i pójdziemy na długi spacer.",
    "gmw/de": "Das Wetter ist heute schön, und wir machen einen langen Spaziergang.",
    "roa/fr": "Il fait beau aujourd'hui et nous allons faire une longue promenade.",
    "roa/es": "Hoy hace buen tiempo y vamos a dar un largo paseo por el parque.",
    "zle/uk": "Сьогодні гарна погода, і ми підемо на довгу прогулянку.",
    "sit/cmn": "今天天气很好，我们去公园散步吧。",
    "sem/ar": "الطقس جميل اليوم وسنذهب في نزهة طويلة.",
}
#: BCP 47 in short: language, script, region, variants, private use (RFC 5646, 2.1).
TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?(-[a-z0-9]{5,8})*(-x(-[a-z0-9]{1,8})+)?")


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    """The engine."""
    engine = Espeak("en")
    yield engine
    engine.close()


def samples(espeak: Espeak, request: SpeechRequest) -> array[int]:
    """Return the sound of a whole text."""
    plan, sound = espeak.plan(request), bytearray()
    for piece in plan.pieces:
        espeak.say(request, plan, piece, sound.extend)
    return array("h", bytes(sound))


def seconds(espeak: Espeak, request: SpeechRequest) -> float:
    """Return how long a text is spoken."""
    return len(samples(espeak, request)) / espeak.plan(request).rate


def test_every_language_has_a_voice(espeak: Espeak) -> None:
    """Over a hundred, each with a name of its own and a tag of BCP 47, and each is found by both."""
    voices = espeak.voices()
    assert len({voice.id for voice in voices}) == len(voices) > 100
    assert [voice.language for voice in voices if not TAG.fullmatch(voice.language)] in ([], ["yue-Latn-jyutping"])
    for voice in voices:
        assert (
            espeak.plan(SpeechRequest("a", voice=voice.id)).voice
            == espeak.plan(SpeechRequest("a", voice=voice.id.upper())).voice
        )


@pytest.mark.parametrize(
    ("name", "voice"),
    [
        ("pl", "zlw/pl"), ("pl-PL", "zlw/pl"), ("PL", "zlw/pl"), ("en-GB", "gmw/en"), ("zh-TW", "sit/cmn"),
        ("pt-br", "roa/pt-BR"), ("es-MX", "roa/es-419"), ("pl+f3", "zlw/pl+f3"),
    ],
)  # fmt: skip
def test_a_voice_has_many_names(espeak: Espeak, name: str, voice: str) -> None:
    """Its own, tags of what it speaks, and those of its variants."""
    assert espeak.plan(SpeechRequest("Hello", voice=name)).voice == voice


@pytest.mark.parametrize(
    "name", ["no-such-voice", "nobody", "", "../../etc/passwd", "en+../../x", "en-xx-yy", "pl+nobody", "x" * 100]
)
def test_a_voice_that_is_not_there(espeak: Espeak, name: str) -> None:
    """It is refused, and no other speaks instead."""
    with pytest.raises(Refused, match="there is no voice"):
        espeak.plan(SpeechRequest("Hello", voice=name))


def test_openais_names_sound_differently(espeak: Espeak) -> None:
    """In the language of the text, whichever that is."""
    voices = {name: espeak.plan(SpeechRequest("Dzień dobry, miło mi.", voice=name)).voice for name in OPENAI_VOICES}
    assert len(set(voices.values())) == len(OPENAI_VOICES)
    assert all(voice.startswith("zlw/pl") for voice in voices.values())


@pytest.mark.parametrize("voice", TEXTS)
def test_a_text_is_spoken_in_its_language(espeak: Espeak, voice: str) -> None:
    """Which is told from it; the sound is about as long as people take, and is no silence."""
    request = SpeechRequest(TEXTS[voice])
    assert espeak.plan(request).voice == voice
    sound = samples(espeak, request)
    for_each = len(sound) / espeak.plan(request).rate / len(request.text)
    assert 0.03 < for_each < 0.3
    windows = [sound[at : at + 220] for at in range(0, len(sound) - 220, 220)]
    loud = sum(max(map(abs, window)) > 500 for window in windows)
    assert loud > len(windows) / 2
    assert samples(espeak, request) == sound


def test_other_texts_and_languages_sound_differently(espeak: Espeak) -> None:
    """A text twice as long takes about twice the time."""
    one = SpeechRequest("A sentence of some words.", voice="en-us")
    assert samples(espeak, one) != samples(espeak, SpeechRequest("Another one of some sorts.", voice="en-us"))
    assert samples(espeak, one) != samples(espeak, SpeechRequest(one.text, voice="de"))
    twice = SpeechRequest(f"{one.text} {one.text}", voice="en-us")
    assert seconds(espeak, twice) == pytest.approx(2 * seconds(espeak, one), rel=0.3)


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
def test_speed(espeak: Espeak, speed: float) -> None:
    """Over the whole range the time is inverse to it."""
    text = " ".join(["This is a sentence of several words."] * 3)
    usual = seconds(espeak, SpeechRequest(text, voice="en-us"))
    assert seconds(espeak, SpeechRequest(text, voice="en-us", speed=speed)) == pytest.approx(usual / speed, rel=0.2)


def test_what_emit_raises_stops_it(espeak: Espeak) -> None:
    """At once: nothing more is made of the piece, and the next call is spoken."""

    class Left(Exception):
        pass

    come = 0

    def emit(_: bytes) -> None:
        nonlocal come
        come += 1
        if come == 2:
            raise Left

    request = SpeechRequest("many words " * 25, voice="en-us")
    plan = espeak.plan(request)
    with pytest.raises(Left):
        espeak.say(request, plan, plan.pieces[-1], emit)
    assert come == 2
    assert samples(espeak, SpeechRequest("Hello", voice="en-us"))


@pytest.mark.parametrize(
    "text", ["a." * 500, "s'" * 400, "a\0b", "\x1b\x07", "[[h@l'oU]]", "😀", "\u202eabc", "!!!!", "a" * 4096, "́" * 500]
)
def test_odd_texts_are_survived(espeak: Espeak, text: str) -> None:
    """Those that crash the library among them."""
    samples(espeak, SpeechRequest(text, voice="en-us"))
    assert samples(espeak, SpeechRequest("Hello", voice="en-us"))
