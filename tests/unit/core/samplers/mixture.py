"""A world where everything is known: pictures are numbers from a mixture of three Gaussians.

Its exact denoiser, its distribution and the exact solution of the probability-flow ODE stand in for a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from minitoolai.core.samplers import NoiseLevels

Numbers = NDArray[np.float64]

MEANS = np.array([-1.2, 0.3, 1.5])
WEIGHTS = np.array([0.2, 0.5, 0.3])
#: Of each Gaussian.
DEVIATION = 0.25
#: Of Stable Diffusion 1 and 2.
CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
LEVELS = NoiseLevels.from_config(CONFIG)


def denoise(x: Numbers, sigma: float | Numbers) -> Numbers:
    """The mean of the pictures that x may be, given its noise: the posterior's, in closed form. Each number by itself;
    sigma may have x's shape, or one that broadcasts to it.
    """
    sigma = np.asarray(sigma)[..., None]
    clean, noisy = DEVIATION**2, DEVIATION**2 + sigma**2
    log_weights = np.log(WEIGHTS) - (x[..., None] - MEANS) ** 2 / (2 * noisy)
    weights = np.exp(log_weights - log_weights.max(-1, keepdims=True))
    means = (clean * x[..., None] + sigma**2 * MEANS) / noisy
    found: Numbers = (weights * means).sum(-1) / weights.sum(-1)
    return found


def normal(seed: int, *shape: int) -> Callable[[], Numbers]:
    """What draws noise of a shape, the same for the same seed."""
    generator = np.random.default_rng(seed)
    return lambda: generator.standard_normal(shape)


def exact(x: Numbers, high: float, low: float) -> Numbers:
    """The probability-flow ODE from one level to another, by Runge and Kutta's fourth order in log sigma, 2000 steps."""
    width = math.log(low / high) / 2000

    def slope(x: Numbers, at: float) -> Numbers:
        return x - denoise(x, math.exp(at))

    for at in math.log(high) + width * np.arange(2000):
        first = slope(x, at)
        second = slope(x + width / 2 * first, at + width / 2)
        third = slope(x + width / 2 * second, at + width / 2)
        fourth = slope(x + width * third, at + width)
        x = x + width / 6 * (first + 2 * second + 2 * third + fourth)
    return x


def distance(numbers: Numbers) -> float:
    """Wasserstein's distance (W1) of numbers to the mixture, by quantiles in the middle of each number's share."""
    places = np.linspace(-4, 4, 4001)
    tails = [[math.erfc((mean - place) / DEVIATION / math.sqrt(2)) / 2 for mean in MEANS] for place in places]
    below = np.array(tails) @ WEIGHTS
    quantiles = np.interp((np.arange(len(numbers)) + 0.5) / len(numbers), below, places)
    return float(np.abs(np.sort(numbers) - quantiles).mean())
