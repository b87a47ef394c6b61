"""The phonemizer that Kokoro's texts go through, in the process that they may crash; see `speech.speller`."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

from minitoolai.children.kokoro.folder import LANGUAGES
from minitoolai.children.speech import speller
from minitoolai.children.speech.speller import Sounds, Spelling


def load() -> Callable[[Spelling], Sounds]:
    """Return what turns a text into sounds, all of a text as one sentence. Raises `ImportError`."""
    # phonemizer brings numpy, whose threads a fork would lose.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    # It counts words of the caller's text.
    logging.getLogger("phonemizer").setLevel(logging.ERROR)
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    EspeakWrapper.set_library(espeakng_loader.get_library_path())

    @functools.cache
    def backend(language: str) -> Any:
        # Words of another language are spoken in its sounds; the flags that say so would be spoken as well.
        return EspeakBackend(language, preserve_punctuation=True, with_stress=True, language_switch="remove-flags")

    def spell(order: Spelling) -> Sounds:
        return [list(sounds) for sounds in backend(order.language).phonemize([order.text], strip=True)]

    for _, language, _ in LANGUAGES.values():
        backend(language)
    return spell


if __name__ == "__main__":
    speller.serve(load)
