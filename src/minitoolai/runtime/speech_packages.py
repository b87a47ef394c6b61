"""Which packages speech needs, and whether they are installed. Nothing of them is imported here."""

from __future__ import annotations

import ctypes.util
import functools
from collections.abc import Callable, Iterable
from importlib.util import find_spec

#: Of every engine that speaks: encoders, arithmetic, and which language a text is.
SHARED = ("av", "numpy", "py3langid")
#: Brings espeak-ng's library; without it the system's is looked for.
ESPEAK_PACKAGE = "espeakng_loader"
PIPER = (*SHARED, "onnxruntime", "piper")
KOKORO = (*SHARED, "onnxruntime", "kokoro_onnx")

_Has = Callable[[str], bool]


def has_package(name: str) -> bool:
    """Whether a package is installed."""
    return find_spec(name) is not None


def has_library(name: str) -> bool:
    """Whether the system has a shared library."""
    return ctypes.util.find_library(name) is not None


def missing(packages: Iterable[str], has: _Has = has_package) -> str | None:
    """Return the first of `packages` that is not installed."""
    return next((name for name in packages if not has(name)), None)


def missing_for_espeak(has: _Has = has_package, library: _Has = has_library) -> str | None:
    """Return what espeak-ng lacks to speak: a package, or its library; None: nothing."""
    if not has(ESPEAK_PACKAGE) and not library("espeak-ng"):
        return ESPEAK_PACKAGE
    return missing(SHARED, has)


@functools.cache
def espeak_is_installed() -> bool:
    """Whether espeak-ng can speak here. To look for the system's libraries takes a moment: it is done once."""
    return missing_for_espeak() is None
