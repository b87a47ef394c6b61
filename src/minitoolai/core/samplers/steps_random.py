"""Steps that take more noise away than asked for and put fresh noise back: pictures keep changing with more steps.

"Ancestral" is the split of a step that leaves the distribution right: to `down` by the ODE, then noise of `up`, with
down^2 + up^2 = low^2 (Ho et al. 2020, arXiv:2006.11239, the posterior of eq. 7, in sigma; DDIM's eta = 1,
arXiv:2010.02502, eq. 16). The last step, to 0, adds none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from minitoolai.core.samplers.arrays import A, Noise, Solution


def euler_ancestral(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """Euler's step down, then noise: one call a step."""
    for high, low in pairwise(sigmas):
        down, up = _ancestral(high, low)
        slope = (x - (yield x, high)) / high
        x = x + slope * (down - high)
        if low > 0:
            x = x + noise() * up
    return x


def dpm2_ancestral(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """The midpoint's step down (`steps_single.dpm2`), then noise: two calls a step."""
    for high, low in pairwise(sigmas):
        down, up = _ancestral(high, low)
        slope = (x - (yield x, high)) / high
        if low > 0:
            middle = math.sqrt(high * down)
            there = x + slope * (middle - high)
            slope = (there - (yield there, middle)) / middle
        x = x + slope * (down - high)
        if low > 0:
            x = x + noise() * up
    return x


def dpmpp_2s_ancestral(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """DPM-Solver++(2S) down (arXiv:2211.01095, algorithm 1 with its middle at r = 1/2), then noise: two calls a step.

    The algorithm solves for the denoised picture exactly: at constant `denoised`, x - denoised shrinks with sigma.
    """
    for high, low in pairwise(sigmas):
        down, up = _ancestral(high, low)
        denoised = yield x, high
        if low > 0:
            middle = math.sqrt(high * down)
            there = _towards(x, denoised, middle / high)
            denoised = yield there, middle
        x = _towards(x, denoised, down / high)
        if low > 0:
            x = x + noise() * up
    return x


def dpmpp_sde(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """DPM-Solver++(2S) for the stochastic equation (arXiv:2211.01095; its middle at r = 1/2): two calls a step, two noises.

    The step to the middle and the whole step see one Brownian path, whose time is sigma: the whole step's noise is the
    first half's and a fresh one, each weighted by the root of its share.
    """
    for high, low in pairwise(sigmas):
        denoised = yield x, high
        if low == 0:
            return denoised
        middle = math.sqrt(high * low)
        first = noise()
        down, up = _ancestral(high, middle)
        there = _towards(x, denoised, down / high) + first * up
        denoised = yield there, middle
        whole = first * math.sqrt((high - middle) / (high - low)) + noise() * math.sqrt((middle - low) / (high - low))
        down, up = _ancestral(high, low)
        x = _towards(x, denoised, down / high) + whole * up
    return x


def _ancestral(high: float, low: float) -> tuple[float, float]:
    """Return the level to go down to and the noise to add, such that noise of level `low` is left."""
    ratio = low / high
    return low * ratio, low * math.sqrt(1 - ratio * ratio)


def _towards(x: A, denoised: A, left: float) -> A:
    """Return x moved towards the denoised picture, so that `left` of the difference is left."""
    moved: A = x * left + denoised * (1 - left)
    return moved
