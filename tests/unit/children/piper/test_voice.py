"""Voices in memory, and how many of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.children.piper.voice import Shelf, load
from minitoolai.children.speech.spelling import Speller
from minitoolai.children.speech.synthesis import SpeakingFailed
from tests.support import tiny_piper
from tests.support.spellers import PIPER, running_speller


@pytest.fixture(scope="module")
def speller() -> Iterator[Speller]:
    """One for all."""
    with running_speller(PIPER) as started:
        yield started


def test_loaded_once_and_so_many_kept() -> None:
    """The item that was used longest ago makes room, and is loaded again when it is needed again."""
    loaded: list[str] = []

    def bring(path: Path) -> str:
        loaded.append(path.name)
        return path.name

    shelf = Shelf(bring, 2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert shelf.get(Path(name)) == name
    assert loaded == ["a", "b", "c", "b"]


def test_many_that_ask_at_once_wait_for_one_load() -> None:
    """A voice is loaded once however many calls want it, and others are had meanwhile."""
    begun, go_on = threading.Event(), threading.Event()
    loaded: list[str] = []

    def bring(path: Path) -> str:
        loaded.append(path.name)
        if path.name == "slow":
            begun.set()
            assert go_on.wait(30)
        return path.name

    shelf = Shelf(bring, 2)
    threads = [threading.Thread(target=lambda: shelf.get(Path("slow"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    assert shelf.get(Path("other")) == "other"
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(loaded) == ["other", "slow"]


def test_what_failed_is_tried_again() -> None:
    """A load that fails fails for who asked; the next to ask has it tried anew."""
    answers: list[str | OSError] = [OSError("full"), "voice"]

    def bring(_path: Path) -> str:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    shelf = Shelf(bring, 2)
    with pytest.raises(OSError, match="full"):
        shelf.get(Path("a"))
    assert shelf.get(Path("a")) == "voice"


def test_a_voice_spells_as_the_package_does(speller: Speller, tmp_path: Path) -> None:
    """Its sounds are the package's own, made in another process."""
    from piper import PiperVoice

    for name, text in (("en_US-tiny-medium", "Hello there. World!"), ("ar_JO-tiny-low", "مرحبا بالعالم")):
        path = tiny_piper.make(tmp_path, name)
        assert load(path, speller, 1).phonemize(text) == PiperVoice.load(path).phonemize(text)


def test_a_voice_of_letters(speller: Speller, tmp_path: Path) -> None:
    """A voice whose sounds are letters needs no speller."""
    path = tiny_piper.make(tmp_path, phoneme_type="text")
    assert load(path, speller, 1).phonemize("Hé") == [["H", "e", "\u0301"]]


def test_clusters(speller: Speller, tmp_path: Path) -> None:
    """Sounds that are one to a voice are given to it as one."""
    path = tiny_piper.make(tmp_path, vowel_clusters=[["a", "ɪ"]])
    assert "aɪ" in load(path, speller, 1).phonemize("my")[0]


def test_a_voice_that_cannot_be_loaded(speller: Speller, tmp_path: Path) -> None:
    """A file that was spoilt since the start fails the call that needs it, and is named."""
    path = tiny_piper.make(tmp_path)
    path.write_bytes(b"spoilt")
    with pytest.raises(SpeakingFailed, match=r"the voice en_US-tiny-medium\.onnx cannot be loaded"):
        load(path, speller, 1)
    with pytest.raises(SpeakingFailed, match="cannot be loaded: FileNotFoundError"):
        load(tmp_path / "none.onnx", speller, 1)
