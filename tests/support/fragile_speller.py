"""A speller whose library does as its text says: it crashes, raises, or never ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from minitoolai.children.speech import speller
from minitoolai.children.speech.speller import MAX_MESSAGE_BYTES, Sounds, Spelling

MODULE = "tests.support.fragile_speller"


def spell(order: Spelling) -> Sounds:
    """Return a text's letters, or do what it says."""
    if order.text == "crash" or {"*", ";"} & set(order.text):
        os.kill(os.getpid(), signal.SIGSEGV)
    if order.text == "raise":
        raise ValueError
    if order.text == "long":
        return [["x" * MAX_MESSAGE_BYTES]]
    while order.text == "forever":
        pass
    return [list(order.text)]


def load() -> Callable[[Spelling], Sounds]:
    """Return the library."""
    return spell


if __name__ == "__main__":
    speller.serve(load)
