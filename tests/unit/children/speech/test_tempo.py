"""Speech made faster and slower afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from minitoolai.children.speech.tempo import at_tempo

RATE = 24_000


def tone(seconds: float) -> bytes:
    """Return a tone of 220 Hz."""
    return (np.sin(np.arange(round(RATE * seconds)) * 2 * np.pi * 220 / RATE) * 20_000).astype("<i2").tobytes()


@pytest.mark.parametrize("tempo", [0.125, 0.3, 0.5, 0.8, 1.5, 2.0, 4.0])
def test_as_long_as_asked_and_as_high(tempo: float) -> None:
    """The sound is so many times shorter, and the tone the same."""
    made = np.frombuffer(at_tempo(tone(3), RATE, tempo), "<i2")
    assert len(made) / RATE == pytest.approx(3 / tempo, rel=0.03)
    assert np.abs(np.fft.rfft(made)).argmax() * RATE / len(made) == pytest.approx(220, abs=2)


def test_nothing_to_do() -> None:
    """At its own speed, or without sound, nothing is changed."""
    assert at_tempo(tone(1), RATE, 1.0) == tone(1)
    assert at_tempo(b"", RATE, 2.0) == b""
