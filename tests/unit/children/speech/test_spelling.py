"""Texts as sounds, by a process that texts may crash."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from minitoolai.children.report import BootError
from minitoolai.children.speech import spelling
from minitoolai.children.speech.spelling import Speller
from minitoolai.children.speech.synthesis import SpeakingFailed
from tests.support import fragile_speller
from tests.support.spellers import KOKORO, PIPER, running_speller


@pytest.fixture(scope="module")
def piper() -> Iterator[Speller]:
    """Piper's own."""
    with running_speller(PIPER) as speller:
        yield speller


@pytest.fixture
def fragile() -> Iterator[Speller]:
    """One that does as its text says."""
    with running_speller(fragile_speller.MODULE) as speller:
        yield speller


def spelt(speller: Speller, text: str, language: str = "en-us") -> list[str]:
    """Return the sounds of each sentence in one."""
    return ["".join(sounds) for sounds in speller.sounds(text, language)]


@pytest.mark.parametrize(
    ("language", "text", "sounds"),
    [
        ("en-us", "Hello there. World!", ["həlˈoʊ ðˈɛɹ.", "wˈɜːld!"]), ("pl", "Cześć, świecie", ["tʃˈɛɕtɕ, ɕfʲˈɛtɕɛ"]),
        ("cmn", "你好", ["ni2χˈɑu2"]), ("en-us", " \n ", []), ("en-us", "\x00\ud83d", []),
    ],
)  # fmt: skip
def test_pipers_sounds(piper: Speller, language: str, text: str, sounds: list[str]) -> None:
    """Each sentence's sounds, as Piper's own package has them; nothing for a text that says nothing."""
    assert spelt(piper, text, language) == sounds


def test_kokoros_sounds() -> None:
    """All of a text as one, with its marks, and without flags of other languages' words."""
    with running_speller(KOKORO) as speller:
        assert spelt(speller, "Bonjour, New York. Oui !", "fr-fr") == ["bɔ̃ʒˈuʁ, njˈuː jˈɔːk. wˈi !"]


@pytest.mark.parametrize(
    "text", ["a." * 500, "s'" * 400, "l'" * 300, "ก" + "\u0e31" * 300, "\u0301" * 300, "x" * 5000, "[[" * 99]
)
def test_texts_that_crash_espeak(piper: Speller, text: str) -> None:
    """Texts that the library is known not to survive are spelt, cleaned, and the next text is as well."""
    spelt(piper, text)
    assert spelt(piper, "Hello") == ["həlˈoʊ"]


def test_a_crash_costs_one_text(fragile: Speller) -> None:
    """A text that the library does not survive is tried again in plainer forms; then its call fails, and no other."""
    assert spelt(fragile, "hello") == ["hello"]
    with pytest.raises(SpeakingFailed, match="did not survive") as failed:
        spelt(fragile, "crash")
    assert failed.value.code == "engine_crashed"
    assert spelt(fragile, "crash* if not plain *") == ["crash if not plain"]
    assert spelt(fragile, "crash; if dotted.") == ["crash if dotted"]
    with pytest.raises(SpeakingFailed):
        spelt(fragile, "raise")
    with pytest.raises(SpeakingFailed):
        spelt(fragile, "long")
    assert spelt(fragile, "hello") == ["hello"]


def test_a_text_that_never_ends(fragile: Speller) -> None:
    """The processor time of a text is bounded."""
    with pytest.raises(SpeakingFailed):
        spelt(fragile, "forever")
    assert spelt(fragile, "hello") == ["hello"]


def test_a_killed_speller_is_replaced(fragile: Speller) -> None:
    """Where the process itself is killed, the next text starts another."""
    os.kill(fragile._process.pid, signal.SIGKILL)
    fragile._process.wait()
    assert spelt(fragile, "hello") == ["hello"]


def test_a_speller_that_cannot_be_replaced(fragile: Speller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none starts any more, calls fail and say so."""
    monkeypatch.setattr(fragile, "_module", "tests.support.no_such_module")
    os.kill(fragile._process.pid, signal.SIGKILL)
    with pytest.raises(SpeakingFailed, match="did not start") as failed:
        spelt(fragile, "hello")
    assert failed.value.code == "engine_crashed"


def test_many_at_once(piper: Speller) -> None:
    """Threads take turns, and each has its own answer."""
    texts = ["one", "two", "three", "four"] * 20
    alone = {text: spelt(piper, text) for text in set(texts)}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: spelt(piper, text), texts))
    assert found == [alone[text] for text in texts]


def test_a_module_that_does_not_start() -> None:
    """A speller whose package is not there is no start of the child."""
    with pytest.raises(BootError, match="did not start") as failed:
        spelling.Speller("tests.support.no_such_module")
    assert failed.value.code == "engine_missing"
