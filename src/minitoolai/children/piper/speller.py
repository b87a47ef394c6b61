"""Piper's phonemizer, in the process that its texts may crash; see `speech.speller`."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable

from minitoolai.children.speech import speller
from minitoolai.children.speech.speller import Sounds, Spelling

_PACKAGE = "piper"


def load() -> Callable[[Spelling], Sounds]:
    """Return what turns a text into sounds. Raises `ImportError`."""
    # The package's own first lines bring numpy and onnxruntime, whose threads a fork would lose and nothing here needs.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.submodule_search_locations is None:
        raise ImportError(f"no module named {_PACKAGE}")
    package = types.ModuleType(_PACKAGE)
    package.__path__ = list(found.submodule_search_locations)
    sys.modules[_PACKAGE] = package
    from piper.phonemize_espeak import EspeakPhonemizer

    phonemizer = EspeakPhonemizer()

    def spell(order: Spelling) -> Sounds:
        sounds: Sounds = phonemizer.phonemize(order.language, order.text, vowel_clusters=set(order.clusters))
        return sounds

    return spell


if __name__ == "__main__":
    speller.serve(load)
