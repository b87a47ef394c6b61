"""The levels of noise of a model, and the grids on them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.samplers import NoiseLevels
from tests.unit.core.samplers.mixture import LEVELS


def test_stable_diffusions_levels() -> None:
    """The ends that every program for its models knows."""
    assert LEVELS.sigma_max == pytest.approx(14.6146, abs=1e-4)
    assert LEVELS.sigma_min == pytest.approx(0.029167, abs=1e-6)
    assert len(LEVELS.log_sigmas) == 1000


@given(st.floats(0, 999))
def test_levels_and_timesteps_are_each_others_inverse(timestep: float) -> None:
    """Between the timesteps of training too."""
    assert LEVELS.timestep(LEVELS.sigma(timestep)) == pytest.approx(timestep, abs=1e-6)


def test_timesteps_of_training_come_back_whole() -> None:
    """Within a rounding, so that a model that takes whole numbers gets the right one."""
    for timestep in range(1000):
        assert LEVELS.timestep(math.exp(LEVELS.log_sigmas[timestep])) == pytest.approx(timestep, abs=1e-9)


def test_beyond_the_ends_is_the_end() -> None:
    """No level is made up that the model has never seen."""
    assert LEVELS.timestep(1000.0) == 999
    assert LEVELS.timestep(1e-6) == 0
    assert LEVELS.sigma(5000) == pytest.approx(LEVELS.sigma_max)
    assert LEVELS.sigma(-3) == pytest.approx(LEVELS.sigma_min)


def test_the_trailing_grid_ends_its_steps_with_the_last_timestep() -> None:
    """Even spaces in timesteps, counted from the last."""
    assert [round(LEVELS.timestep(sigma)) for sigma in LEVELS.trailing(4)] == [999, 749, 499, 249]
    assert [round(LEVELS.timestep(sigma)) for sigma in LEVELS.trailing(8)] == [999, 874, 749, 624, 499, 374, 249, 124]
    assert [round(LEVELS.timestep(sigma)) for sigma in LEVELS.trailing(3)] == [999, 666, 332]
    assert [LEVELS.timestep(sigma) for sigma in LEVELS.trailing(1)] == [999]


def test_the_trailing_grid_can_have_every_timestep_and_no_more() -> None:
    """Each once."""
    assert len(set(LEVELS.trailing(1000))) == 1000
    for count in (0, 1001):
        with pytest.raises(ValueError, match=f"from 1 to 1000 levels can be chosen, not {count}"):
            LEVELS.trailing(count)


def test_the_karras_grid_is_even_in_the_seventh_root() -> None:
    """From the most noise to the least; one level alone is the most."""
    found = LEVELS.karras(5)
    roots = [sigma ** (1 / 7) for sigma in found]
    gaps = [high - low for high, low in pairwise(roots)]
    assert gaps == pytest.approx([gaps[0]] * 4)
    assert (found[0], found[-1]) == pytest.approx((LEVELS.sigma_max, LEVELS.sigma_min))
    assert LEVELS.karras(1) == pytest.approx((LEVELS.sigma_max,))
    with pytest.raises(ValueError, match="at least 1 level can be chosen, not 0"):
        LEVELS.karras(0)


def test_two_levels_are_enough() -> None:
    """The smallest model there can be."""
    tiny = NoiseLevels((0.0, math.log(4)))
    assert tiny.sigma(0.5) == pytest.approx(2)
    assert tiny.timestep(2.0) == pytest.approx(0.5)
    assert tiny.timestep(4.0) == 1
    assert tiny.trailing(2) == pytest.approx((4, 1))
