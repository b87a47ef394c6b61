"""The 18 names, their levels and their calls."""

from __future__ import annotations

from itertools import pairwise

import pytest

from minitoolai.core.pictures import DEFAULT_SCHEDULER
from minitoolai.core.samplers import SCHEDULERS, SchedulerUnknown, run, scheduler
from minitoolai.core.samplers.table import Grid
from tests.unit.core.samplers.mixture import LEVELS

#: Names that call the model twice in a step, but once in the last.
TWICE = {"Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ SDE"}


def test_the_names_are_the_contracts() -> None:
    """In its order and spelling; the default is one of them."""
    assert SCHEDULERS == (
        "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE",
        "DPM fast", "LMS Karras", "DPM2 Karras", "DPM2 a Karras", "DPM++ 2S a Karras", "DPM++ 2M Karras",
        "DPM++ SDE Karras", "DPM++ 2M SDE Karras",
    )  # fmt: skip
    assert DEFAULT_SCHEDULER in SCHEDULERS
    assert [scheduler(name).name for name in SCHEDULERS] == list(SCHEDULERS)


def test_an_unknown_name_is_refused() -> None:
    """With the names there are; lower case is not one."""
    with pytest.raises(SchedulerUnknown, match=r"There is no scheduler 'euler'. One of: Euler a, Euler, LMS"):
        scheduler("euler")


def test_karras_names_differ_in_the_levels_only() -> None:
    """The same method, order and calls as the name without the word."""
    for name in SCHEDULERS:
        chosen, plain = scheduler(name), scheduler(name.removesuffix(" Karras"))
        assert (chosen.grid is Grid.KARRAS) == name.endswith(" Karras")
        assert (chosen.solve, chosen.order, chosen.random, chosen.discards_penultimate) == (
            plain.solve, plain.order, plain.random, plain.discards_penultimate,
        )  # fmt: skip


@pytest.mark.parametrize("steps", [*range(1, 9), 100])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_calls_are_counted_before_they_are_made(name: str, steps: int) -> None:
    """n steps take n calls, or 2n-1; the model is called just as often."""
    chosen = scheduler(name)
    sigmas = chosen.sigmas(LEVELS, steps)
    called: list[float] = []

    def denoise(x: float, sigma: float) -> float:
        called.append(sigma)
        return x / (1 + sigma * sigma)

    run(name, 14.0, sigmas, lambda: 0.5, denoise)
    twice = name.removesuffix(" Karras") in TWICE
    assert chosen.calls(sigmas) == len(called) == (2 * steps - 1 if twice else steps)
    assert called[0] == max(called) == sigmas[0]
    assert min(called) > 0
    assert set(called) >= set(sigmas[:-1])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_levels_fall_from_the_most_noise_to_none(name: str) -> None:
    """One more level than steps; the last is 0, or with DPM fast the least noise."""
    for steps in (*range(1, 9), 100):
        sigmas = scheduler(name).sigmas(LEVELS, steps)
        assert len(sigmas) == steps + 1
        assert sigmas[0] == pytest.approx(LEVELS.sigma_max)
        assert all(low < high for high, low in pairwise(sigmas))
        assert sigmas[-1] == (LEVELS.sigma_min if name == "DPM fast" else 0)
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        scheduler(name).sigmas(LEVELS, 0)


def test_dpm2_leaves_out_the_level_before_the_last() -> None:
    """Its levels are those of one step more, without the smallest."""
    for name, grid in (("DPM2", LEVELS.trailing), ("DPM2 a Karras", LEVELS.karras)):
        assert scheduler(name).sigmas(LEVELS, 4) == (*grid(5)[:4], 0)
    assert scheduler("Euler").sigmas(LEVELS, 4) == (*LEVELS.trailing(4), 0)
    assert scheduler("LMS Karras").sigmas(LEVELS, 4) == (*LEVELS.karras(4), 0)


def test_calls_on_levels_that_do_not_end_at_none() -> None:
    """There the last step has both calls too."""
    assert scheduler("Heun").calls([3.0, 2.0, 1.0]) == 4
    assert scheduler("Heun").calls([3.0, 2.0, 0.0]) == 3
    assert scheduler("Euler").calls([3.0, 2.0, 1.0]) == 2
