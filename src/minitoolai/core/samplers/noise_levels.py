"""The levels of noise that a model was trained on, and where on them the calls of a picture are spent.

A level is sigma = sqrt((1 - a) / a), with `a` the running product of 1 - beta (Ho et al. 2020, arXiv:2006.11239, eq. 4).
Between the levels of training log sigma is interpolated, both ways, as A1111's web UI and k-diffusion do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minitoolai.core.samplers.betas import signal_shares

#: How far Karras's grid leans towards the small levels (Karras et al. 2022, arXiv:2206.00364, eq. 5 and table 1).
KARRAS_RHO = 7.0


@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """The levels of one model, its timestep 0 the least noise."""

    #: Natural logarithm of sigma at each timestep, rising; at least 2.
    log_sigmas: Sequence[float]

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> NoiseLevels:
        """Return the levels of a scheduler_config.json, as `diffusers` writes it. Raises `NoiseScheduleInvalid`.

        Read are `num_train_timesteps`, `trained_betas` or `beta_schedule` with `beta_start` and `beta_end`, and
        `rescale_betas_zero_snr`. What it says of spacing is the schedulers' own business here.
        """
        return cls(tuple(0.5 * math.log((1 - share) / share) for share in signal_shares(config)))

    @property
    def sigma_min(self) -> float:
        """The least noise."""
        return math.exp(self.log_sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The most noise, of which hardly a picture is seen."""
        return math.exp(self.log_sigmas[-1])

    def sigma(self, timestep: float) -> float:
        """Return the level at a timestep, which may lie between two; beyond the ends it is the end's."""
        below = min(max(math.floor(timestep), 0), len(self.log_sigmas) - 2)
        share = min(max(timestep - below, 0.0), 1.0)
        return math.exp(self.log_sigmas[below] * (1 - share) + self.log_sigmas[below + 1] * share)

    def timestep(self, sigma: float) -> float:
        """Return the timestep, seldom whole, at which the noise is `sigma` > 0; beyond the ends it is the end's."""
        wanted = math.log(sigma)
        below = min(max(bisect_right(self.log_sigmas, wanted) - 1, 0), len(self.log_sigmas) - 2)
        low, high = self.log_sigmas[below : below + 2]
        return below + min(max((wanted - low) / (high - low), 0.0), 1.0)

    def trailing(self, count: int) -> tuple[float, ...]:
        """Return `count` levels, falling from the most noise, evenly spaced in timesteps (Lin et al. 2023,
        arXiv:2305.08891, table 2).

        Raises `ValueError` unless `count` is from 1 to the number of timesteps.
        """
        total = len(self.log_sigmas)
        if not 1 <= count <= total:
            raise ValueError(f"from 1 to {total} levels can be chosen, not {count}")
        return tuple(math.exp(self.log_sigmas[round(total - step * total / count) - 1]) for step in range(count))

    def karras(self, count: int) -> tuple[float, ...]:
        """Return `count` levels, falling from the most noise to the least, evenly spaced in sigma^(1/7) (Karras et al.
        2022, arXiv:2206.00364, eq. 5). One level alone is the most noise.

        Raises `ValueError` unless `count` is at least 1.
        """
        if count < 1:
            raise ValueError(f"at least 1 level can be chosen, not {count}")
        top, bottom = (sigma ** (1 / KARRAS_RHO) for sigma in (self.sigma_max, self.sigma_min))
        return tuple((top + step / max(count - 1, 1) * (bottom - top)) ** KARRAS_RHO for step in range(count))


def input_scale(sigma: float) -> float:
    """Return what x with noise of level `sigma` is multiplied by before the model sees it, so that its variance is
    about 1: 1 / sqrt(1 + sigma^2).
    """
    return 1 / math.sqrt(1 + sigma * sigma)


def start_scale(sigma: float) -> float:
    """Return what standard normal noise is multiplied by to begin at level `sigma`: sqrt(1 + sigma^2), noise and a
    picture of variance 1, so that the model sees noise of variance exactly 1.

    k-diffusion's own examples take `sigma` itself; at Stable Diffusion's 14.6 that is 0.2 % less.
    """
    return math.sqrt(1 + sigma * sigma)
