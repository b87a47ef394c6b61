"""Speech of eight languages through HTTP, told from their texts: an ear-free check that what is heard is the text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import requests

from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, product_server
from tests.support.speaking_child import Heard, heard

#: A sentence of each, and another: what they say is told from themselves, no voice is named.
SENTENCES = {
    "en": ("The weather is beautiful today, and we are going for a walk.", "Tomorrow the train leaves at seven."),
    "pl": ("Dzisiaj jest piękna pogoda, więc idziemy na spacer.", "Jutro pociąg odjeżdża o siódmej rano."),
    "de": ("Das Wetter ist heute schön, und wir gehen spazieren.", "Morgen fährt der Zug um sieben Uhr ab."),
    "fr": ("Il fait très beau aujourd'hui et nous allons nous promener.", "Demain le train part à sept heures du matin."),
    "es": ("Hoy hace muy buen tiempo y vamos a dar un paseo.", "Mañana el tren sale a las siete de la mañana."),
    "uk": ("Сьогодні чудова погода, і ми йдемо на прогулянку.", "Завтра потяг їде о сьомій годині ранку."),
    "zh": ("今天天气很好，我们去公园散步。", "明天早上七点火车就要开了。"),
    "ar": ("الطقس جميل اليوم وسنذهب في نزهة إلى الحديقة.", "غدا يغادر القطار في الساعة السابعة صباحا."),
}
#: Seconds of speech for a letter (French leaves many unsaid), and for a Chinese character, which is a syllable.
LETTER_S, SYLLABLE_S = (0.03, 0.16), (0.12, 0.5)


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests) -> Iterator[ProductServer]:
    """The product with nothing configured, once it can speak."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.start()
        product.wait_engine("espeak")
        yield product


@pytest.fixture(scope="module")
def key(server: ProductServer) -> str:
    """A key with credit."""
    return server.make_key()


@pytest.fixture(scope="module")
def voices(server: ProductServer, key: str) -> dict[str, list[str]]:
    """The voices of each language, by its first subtag."""
    headers = {"authorization": f"Bearer {key}"}
    listed = requests.get(f"{server.base}/v1/audio/voices?model=espeak-ng", headers=headers, timeout=30).json()["data"]
    found: dict[str, list[str]] = {}
    for voice in listed:
        found.setdefault(voice["language"].split("-")[0], []).append(voice["id"])
    return found


def spoken(server: ProductServer, key: str, text: str, **fields: Any) -> Heard:
    """Have a text spoken; return its samples."""
    body = {"model": "espeak-ng", "text": text, "format": "wav", **fields}
    headers = {"authorization": f"Bearer {key}"}
    reply = requests.post(f"{server.base}/api/texttospeech/", json=body, headers=headers, timeout=60)
    assert reply.status_code == 200, reply.text
    return heard(reply.content, "wav")


def crossings(sound: Heard) -> float:
    """Return how often a second the sound changes its sign, where it is loud: noise does so often, a voice seldom."""
    loud = [sample for sample in sound.samples if abs(sample) > 200]
    return sum((one < 0) != (other < 0) for one, other in pairwise(loud)) * sound.rate / len(loud)


@pytest.mark.parametrize("language", SENTENCES)
def test_a_language_is_told_and_spoken(server: ProductServer, key: str, voices: dict[str, list[str]], language: str) -> None:
    """The sound is that of a voice of the language to the sample, as long as the text, and mostly not silent."""
    least, most = SYLLABLE_S if language == "zh" else LETTER_S
    first, second = SENTENCES[language]
    sounds = [spoken(server, key, text) for text in (first, second, f"{first} {second}")]
    for text, sound in zip((first, second), sounds, strict=False):
        assert least < sound.seconds / len(text) < most
        assert sound.loud_s > sound.seconds / 2
    one, other, both = sounds
    assert one.samples != other.samples
    assert both.seconds >= (one.seconds + other.seconds) * 0.95
    assert one.samples == spoken(server, key, first).samples == spoken(server, key, first, language=language).samples
    named = [voice for voice in voices[language] if spoken(server, key, first, voice=voice).samples == one.samples]
    assert named, voices[language]
    another = "de" if language != "de" else "fr"
    assert spoken(server, key, first, language=another).samples != one.samples


def test_letters_sound_as_they_do(server: ProductServer, key: str) -> None:
    """Words of vowels are voice, words of hisses are noise: it changes its sign more than twice as often."""
    voice, noise = [
        [crossings(spoken(server, key, word, language="en", speed=0.5)) for word in words]
        for words in (("mama", "moo", "alone"), ("sis", "cease", "hiss"))
    ]
    assert min(noise) > 2 * max(voice)
