"""Noise that goes back in: as much as the level says, along one path."""

from __future__ import annotations

import math

import pytest

from minitoolai.core.samplers import SCHEDULERS, run, scheduler
from tests.unit.core.samplers.forms import Form

RANDOM = [name for name in SCHEDULERS if scheduler(name).random and not name.endswith("Karras")]


def walked(name: str, sigmas: list[float]) -> Form:
    """A way from a picture of nothing but noise, number 0, with a model that sees none of it."""
    drawn = [0]

    def noise() -> Form:
        drawn.append(len(drawn))
        return Form({drawn[-1]: 1.0})

    return run(name, Form({0: sigmas[0]}), sigmas, noise, lambda x, sigma: x * 0.0)


@pytest.mark.parametrize("name", RANDOM)
def test_the_level_is_what_it_says(name: str) -> None:
    """Where every picture is 0, exactly the level's noise is left, however wide the steps."""
    for sigmas in ([10.0, 3.0], [10.0, 3.0, 0.5], [5.0, 4.0, 1.0, 0.1]):
        assert walked(name, sigmas).variance == pytest.approx(sigmas[-1] ** 2)


@pytest.mark.parametrize("name", RANDOM)
def test_old_noise_fades_as_ancestors_do(name: str) -> None:
    """Of the noise before a step, the square of the levels' ratio is left of its weight relative to the level."""
    assert walked(name, [10.0, 3.0]).weights[0] == pytest.approx(10.0 * (3.0 / 10.0) ** 2)


@pytest.mark.parametrize("name", RANDOM)
def test_the_last_step_adds_none(name: str) -> None:
    """A picture has no noise in it at the end."""
    assert walked(name, [10.0, 3.0, 0.0]).variance == pytest.approx(0, abs=1e-20)


def test_dpmpp_sde_follows_one_path() -> None:
    """The whole step's noise is the half's and a fresh one, by their shares of the way; together exactly one."""
    weights = walked("DPM++ SDE", [4.0, 1.0]).weights
    up = 1.0 * math.sqrt(1 - 1 / 16)
    assert weights[1] == pytest.approx(up * math.sqrt((4 - 2) / (4 - 1)))
    assert weights[2] == pytest.approx(up * math.sqrt((2 - 1) / (4 - 1)))
