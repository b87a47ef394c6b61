"""The 18 schedulers by name: how each solves, where it spends its calls, and how many those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from minitoolai.core.samplers.arrays import Solve
from minitoolai.core.samplers.errors import SchedulerUnknown
from minitoolai.core.samplers.noise_levels import NoiseLevels
from minitoolai.core.samplers.steps_fast import dpm_fast, fast_levels
from minitoolai.core.samplers.steps_multistep import dpmpp_2m, dpmpp_2m_sde, lms
from minitoolai.core.samplers.steps_random import dpm2_ancestral, dpmpp_2s_ancestral, dpmpp_sde, euler_ancestral
from minitoolai.core.samplers.steps_single import dpm2, euler, heun


class Grid(StrEnum):
    """Where the levels of the calls lie."""

    #: Evenly in timesteps from the last one, and 0 at the end.
    TRAILING = "trailing"
    #: Karras's, and 0 at the end.
    KARRAS = "karras"
    #: Evenly in log sigma, and the model's least noise at the end.
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Scheduler:
    """One of the names."""

    name: str
    solve: Solve[Any]
    grid: Grid
    #: How fast its error falls as steps get narrower, at most; of random ones, the error of the distribution.
    order: int
    #: Calls of the model in a step; the last one, to 0, has a single call.
    calls_a_step: int = 1
    #: Whether it draws noise between the steps.
    random: bool = False
    #: Whether the level before the last 0 is left out: a call there would be lost on noise that nobody sees.
    discards_penultimate: bool = False

    def sigmas(self, levels: NoiseLevels, steps: int) -> tuple[float, ...]:
        """Return the levels of `steps` steps, one more than steps, falling.

        Raises `ValueError` unless `steps` is at least 1, and fewer than the timesteps of `levels`.
        """
        if steps < 1:
            raise ValueError(f"a picture takes at least 1 step, not {steps}")
        if self.grid is Grid.FAST:
            return fast_levels(levels.sigma_max, levels.sigma_min, steps)
        count = steps + self.discards_penultimate
        found = levels.karras(count) if self.grid is Grid.KARRAS else levels.trailing(count)
        return (*found[:steps], 0.0)

    def calls(self, sigmas: Sequence[float]) -> int:
        """Return how often the model is called on the way along `sigmas`: on the scheduler's own of n steps, n or 2n-1."""
        steps = len(sigmas) - 1
        return steps * self.calls_a_step - (self.calls_a_step - 1) * (sigmas[-1] == 0)


def _table() -> tuple[Scheduler, ...]:
    plain, karras = Grid.TRAILING, Grid.KARRAS
    return (
        Scheduler("Euler a", euler_ancestral, plain, 1, random=True),
        Scheduler("Euler", euler, plain, 1),
        Scheduler("LMS", lms, plain, 4),
        Scheduler("Heun", heun, plain, 2, 2),
        Scheduler("DPM2", dpm2, plain, 2, 2, discards_penultimate=True),
        Scheduler("DPM2 a", dpm2_ancestral, plain, 2, 2, random=True, discards_penultimate=True),
        Scheduler("DPM++ 2S a", dpmpp_2s_ancestral, plain, 2, 2, random=True),
        Scheduler("DPM++ 2M", dpmpp_2m, plain, 2),
        Scheduler("DPM++ SDE", dpmpp_sde, plain, 2, 2, random=True),
        Scheduler("DPM++ 2M SDE", dpmpp_2m_sde, plain, 2, random=True),
        Scheduler("DPM fast", dpm_fast, Grid.FAST, 3),
        Scheduler("LMS Karras", lms, karras, 4),
        Scheduler("DPM2 Karras", dpm2, karras, 2, 2, discards_penultimate=True),
        Scheduler("DPM2 a Karras", dpm2_ancestral, karras, 2, 2, random=True, discards_penultimate=True),
        Scheduler("DPM++ 2S a Karras", dpmpp_2s_ancestral, karras, 2, 2, random=True),
        Scheduler("DPM++ 2M Karras", dpmpp_2m, karras, 2),
        Scheduler("DPM++ SDE Karras", dpmpp_sde, karras, 2, 2, random=True),
        Scheduler("DPM++ 2M SDE Karras", dpmpp_2m_sde, karras, 2, random=True),
    )


_BY_NAME = {each.name: each for each in _table()}
#: The names that a call may ask for, in the contract's order.
SCHEDULERS: tuple[str, ...] = tuple(_BY_NAME)


def scheduler(name: str) -> Scheduler:
    """Return one by its name. Raises `SchedulerUnknown`."""
    found = _BY_NAME.get(name)
    if found is None:
        raise SchedulerUnknown(name=name, known=", ".join(SCHEDULERS))
    return found
