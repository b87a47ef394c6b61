"""With more steps every scheduler comes to the right distribution, as fast as its order says; no two are the same."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from minitoolai.core.samplers import SCHEDULERS, run, scheduler, start_scale
from minitoolai.core.samplers.steps_fast import fast_levels
from tests.unit.core.samplers import forms, mixture
from tests.unit.core.samplers.mixture import LEVELS, Numbers, normal

#: A method's grids differ in no more than its levels: one name stands for both.
METHODS = [name for name in SCHEDULERS if not name.endswith("Karras")]
#: Methods without randomness: the order expected of them between the two counts of steps.
ORDERS = {
    "Euler": (0.9, 1.1),
    "LMS": (3.2, 4.1),
    "Heun": (1.9, 2.1),
    "DPM2": (1.9, 2.1),
    "DPM++ 2M": (1.85, 2.1),
    "DPM fast": (2.8, 3.3),
}
#: The same of the variance.
VARIANCE_ORDERS = {
    "Euler a": (0.9, 1.1), "Euler": (0.9, 1.1), "LMS": (3.2, 4.1), "Heun": (1.9, 2.1), "DPM2": (1.9, 2.1),
    "DPM2 a": (1.9, 2.2), "DPM++ 2S a": (1.9, 2.1), "DPM++ 2M": (1.9, 2.1), "DPM++ SDE": (1.9, 2.3),
    "DPM++ 2M SDE": (1.9, 2.1), "DPM fast": (2.8, 3.4),
}  # fmt: skip
HIGH, LOW = LEVELS.sigma_max, 0.03


def levels(name: str, steps: int) -> list[float]:
    """Levels that get narrower everywhere alike, as orders are defined; never 0, where every method is another.

    DPM fast has its order with calls that leave a last step of order 2: a last step of order 1 weighs as much as all.
    """
    if name == "DPM fast":
        return list(fast_levels(HIGH, LOW, steps - 1))
    return [HIGH * (LOW / HIGH) ** (step / steps) for step in range(steps + 1)]


def picture(name: str, steps: int, seed: int, size: int) -> Numbers:
    """What a scheduler draws on its own levels."""
    sigmas = scheduler(name).sigmas(LEVELS, steps)
    noise = normal(seed, size)
    return run(name, noise() * start_scale(sigmas[0]), sigmas, noise, mixture.denoise)


def test_what_is_random_is_known() -> None:
    """Exactly the schedulers without randomness never draw noise, and have an order on the ODE."""
    for name in SCHEDULERS:
        drawn: list[None] = []

        def noise(drawn: list[None] = drawn) -> float:
            drawn.append(None)
            return 0.1

        run(name, 3.0, scheduler(name).sigmas(LEVELS, 4), noise, lambda x, sigma: x / (1 + sigma * sigma))
        assert bool(drawn) == scheduler(name).random
    assert set(ORDERS) == {name for name in METHODS if not scheduler(name).random}
    assert set(VARIANCE_ORDERS) == set(METHODS)


@pytest.mark.parametrize("name", ORDERS)
def test_the_ode_is_solved_with_the_methods_order(name: str) -> None:
    """Twice the steps divide the mean error to the mixture's exact solution by 2 to the order."""
    start = np.linspace(-2.5, 2.5, 41) * HIGH / 2
    right = mixture.exact(start, HIGH, LOW)
    few, many = (
        float(np.abs(run(name, start, levels(name, steps), lambda: start, mixture.denoise) - right).mean())
        for steps in (48, 96)
    )
    low, high = ORDERS[name]
    assert low < math.log2(few / many) < high


@pytest.mark.parametrize("name", METHODS)
def test_the_variance_is_right_with_the_methods_order(name: str) -> None:
    """On pictures of one Gaussian every method is linear, so that its variance is exact: twice the steps divide the error
    by 2 to the order, with noise and without.
    """
    right = forms.DEVIATION**2 + LOW**2
    few, many = (abs(forms.outcome(name, levels(name, steps)).variance - right) for steps in (48, 96))
    low, high = VARIANCE_ORDERS[name]
    assert low < math.log2(few / many) < high
    assert low < scheduler(name).order < high


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_distribution_is_right_on_the_own_levels(name: str) -> None:
    """At 40 steps numbers lie as the mixture's do, and much better than at 4. The floor of so many numbers is 0.008."""
    few, many = (mixture.distance(picture(name, steps, 9, 10_000)) for steps in (4, 40))
    assert many < 0.06
    assert many < few * 0.4


@pytest.mark.parametrize("steps", [4, 8])
def test_no_two_schedulers_are_the_same(steps: int) -> None:
    """The same noise becomes another picture with each of the 18 names."""
    drawn = {name: picture(name, steps, 9, 2000) for name in SCHEDULERS}
    closest = min(float(np.abs(drawn[one] - drawn[other]).mean()) for one, other in combinations(SCHEDULERS, 2))
    assert closest > 0.02


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_number_of_steps_is_drawn(name: str, steps: int) -> None:
    """From 1 step to 8, all that a call may ask for, nothing overflows, and the shape stays."""
    found = picture(name, steps, 3, 50)
    assert found.shape == (50,)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_hundred_steps_are_drawn(name: str) -> None:
    """Far beyond what a call may ask for it still holds."""
    assert mixture.distance(picture(name, 100, 3, 2000)) < 0.06


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "DPM fast"])
def test_one_step_is_the_models_own_guess(name: str) -> None:
    """All the way to 0 in one step: what the model sees in the noise, whatever the scheduler."""
    start = normal(1, 20)() * start_scale(HIGH)
    sigmas = scheduler(name).sigmas(LEVELS, 1)
    found = run(name, start, sigmas, normal(2, 20), mixture.denoise)
    assert np.allclose(found, mixture.denoise(start, HIGH), rtol=1e-12, atol=1e-12)


def test_one_step_of_dpm_fast_leaves_the_least_noise() -> None:
    """Its way ends at the model's least noise: the guess, and that share of the noise."""
    start = normal(1, 20)() * start_scale(HIGH)
    guess = mixture.denoise(start, HIGH)
    found = run("DPM fast", start, scheduler("DPM fast").sigmas(LEVELS, 1), normal(2, 20), mixture.denoise)
    assert np.allclose(found, guess + (start - guess) * (LEVELS.sigma_min / HIGH))
