"""How a pitch is asked of espeak-ng."""

from __future__ import annotations

import pytest

from minitoolai.children.espeak.pitch import height_left, pitch_value


@pytest.mark.parametrize(
    ("height", "value", "left"),
    [(1.0, 50, 1.0), (0.68, 0, 1.0), (1.6, 100, 1.0), (0.5, 0, 0.735), (2.0, 100, 1.25), (1.265, 75, 1.0), (0.825, 25, 1.0)],
)
def test_heights(height: float, value: int, left: float) -> None:
    """The scale as far as it goes, both ways; the rest is left."""
    assert pitch_value(height) == value
    assert height_left(height) == pytest.approx(left, abs=0.001)
