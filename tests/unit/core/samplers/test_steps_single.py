"""Steps from their own slopes, against what can be worked out by hand."""

from __future__ import annotations

import math

import pytest

from minitoolai.core.samplers import run

#: From 4 to 1, where every picture is x/2: the slope is x / (2 sigma), and the exact way sqrt(sigma).
HALVING = [4.0, 1.0]


def walked(name: str, sigmas: list[float]) -> float:
    """The way of x = 8 with a model that sees half of x."""
    return run(name, 8.0, sigmas, lambda: math.nan, lambda x, sigma: x * 0.5)


def test_euler_follows_the_first_slope() -> None:
    """8 with the slope 1 for 3."""
    assert walked("Euler", HALVING) == pytest.approx(8 - 3 * 1)


def test_heun_follows_the_mean_of_both_ends() -> None:
    """The slope is 1 at first, and 5 / 2 at Euler's end."""
    assert walked("Heun", HALVING) == pytest.approx(8 - 3 * (1 + 2.5) / 2)


def test_dpm2_follows_the_middle() -> None:
    """At the geometric middle, 2, x is 6 and the slope 6 / 4."""
    assert walked("DPM2", HALVING) == pytest.approx(8 - 3 * 1.5)


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2"])
def test_the_last_step_is_the_models_guess(name: str) -> None:
    """At 0 there is no slope: Euler's step goes straight to what the model sees."""
    assert walked(name, [4.0, 0.0]) == pytest.approx(4)
