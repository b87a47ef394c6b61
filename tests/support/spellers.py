"""Spellers as tests have them: a real process, ended afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minitoolai.children.speech.spelling import Speller

PIPER, KOKORO = "minitoolai.children.piper.speller", "minitoolai.children.kokoro.speller"


@contextmanager
def running_speller(module: str) -> Iterator[Speller]:
    """A speller, ended afterwards."""
    speller = Speller(module)
    try:
        yield speller
    finally:
        speller.close()
