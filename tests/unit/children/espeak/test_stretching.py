"""Samples made slower, faster, lower and higher."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest

from minitoolai.children.espeak.stretching import Stretch

RATE = 22_050
TONE = array("h", (round(8000 * math.sin(math.tau * 220 * each / RATE)) for each in range(2 * RATE)))


def stretched(tempo: float, height: float) -> array[int]:
    """Return two seconds of tone, fed in pieces of odd sizes."""
    stretch, sound, content = Stretch(RATE, tempo, height), bytearray(), TONE.tobytes()
    for at in range(0, len(content), 1234):
        sound += stretch.feed(content[at : at + 1234])
    return array("h", bytes(sound + stretch.finish()))


def frequency(samples: array[int]) -> float:
    """Return how often a tone rises through zero in a second."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    rises = sum(before < 0 <= after for before, after in pairwise(middle))
    return rises * RATE / len(middle)


@pytest.mark.parametrize("tempo", [0.25, 0.4375, 0.5, 0.9, 1.5, 2.7])
def test_tempo(tempo: float) -> None:
    """The time is inverse to it; the tone stays as high."""
    found = stretched(tempo, 1.0)
    assert len(found) == pytest.approx(len(TONE) / tempo, rel=0.03)
    assert frequency(found) == pytest.approx(220, rel=0.03)


@pytest.mark.parametrize("height", [0.735, 1.25])
@pytest.mark.parametrize("tempo", [0.44, 1.0, 2.7])
def test_height(tempo: float, height: float) -> None:
    """The tone is so much higher; the time is as asked for."""
    found = stretched(tempo, height)
    assert len(found) == pytest.approx(len(TONE) / tempo, rel=0.03)
    assert frequency(found) == pytest.approx(220 * height, rel=0.03)


def test_nothing_to_do() -> None:
    """Samples stay as they are; without any there are none."""
    assert stretched(1.0, 1.0) == TONE
    silent = Stretch(RATE, 2.0, 1.0)
    assert silent.feed(b"") + silent.finish() == b""
