"""The weights of the linear multistep method."""

from __future__ import annotations

import pytest

from minitoolai.core.samplers.steps_multistep import lms_weights


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_weights_integrate_polynomials_exactly(count: int) -> None:
    """Of every degree below the number of levels, over uneven steps, down to 0."""
    levels = [0.7, 1.1, 2.9, 6.0][:count]
    for end in (0.3, 0.0):
        weights = lms_weights(levels, end)
        for degree in range(count):
            integral = (end ** (degree + 1) - levels[0] ** (degree + 1)) / (degree + 1)
            assert sum(w * at**degree for w, at in zip(weights, levels, strict=True)) == pytest.approx(integral)


def test_even_steps_have_the_textbooks_weights() -> None:
    """Adams and Bashforth's 55, -59, 37 and -9 of 24."""
    assert [24 * weight for weight in lms_weights([4.0, 3.0, 2.0, 1.0], 5.0)] == pytest.approx([55, -59, 37, -9])
