"""libespeak-ng where it is not there, or not whole; what it does is tested with what uses it."""

from __future__ import annotations

import ctypes.util
import sys

import espeakng_loader
import pytest

from minitoolai.children.espeak.native import Library
from minitoolai.children.report import BootError


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "espeak-ng is not installed"),
        ("/nowhere/libespeak-ng.so.1", "espeak-ng cannot be loaded"),
        (espeakng_loader.get_library_path(), "data are not beside its library"),
    ],
)
def test_without_the_package(monkeypatch: pytest.MonkeyPatch, found: str | None, words: str) -> None:
    """The system's library is looked for; what it lacks is told with the remedy."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(ctypes.util, "find_library", {"espeak-ng": found}.get)
    with pytest.raises(BootError, match=words) as error:
        Library()
    assert error.value.code == "engine_missing"
    assert "pip install 'minitoolai[espeak]'" in str(error.value)
    assert "libespeak-ng1" in str(error.value)


def test_a_library_that_knows_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system's does: it is told no folder, here by its own variable."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(ctypes.util, "find_library", {"espeak-ng": espeakng_loader.get_library_path()}.get)
    monkeypatch.setenv("ESPEAK_DATA_PATH", espeakng_loader.get_data_path())
    assert len(Library().voices()) > 100
