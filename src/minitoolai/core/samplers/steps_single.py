"""Steps of the probability-flow ODE, dx/dsigma = (x - denoised) / sigma, each from its own slopes alone. No randomness.

Karras et al. 2022 (arXiv:2206.00364), section 3: the ODE is eq. 1 at s = 1, sigma(t) = t, and the slope is that of
algorithm 1. The last step, to 0, is Euler's in all of them: the slope is not defined at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from minitoolai.core.samplers.arrays import A, Noise, Solution


def euler(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """Follow the slope at the step's start: order 1, one call a step (algorithm 1 without its correction)."""
    for high, low in pairwise(sigmas):
        slope = (x - (yield x, high)) / high
        x = x + slope * (low - high)
    return x


def heun(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """Follow the mean of the slopes at both ends: order 2, two calls a step (algorithm 1)."""
    for high, low in pairwise(sigmas):
        slope = (x - (yield x, high)) / high
        there = x + slope * (low - high)
        if low > 0:
            slope = (slope + (there - (yield there, low)) / low) * 0.5
        x = x + slope * (low - high)
    return x


def dpm2(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """Follow the slope in the middle: order 2, two calls a step.

    The middle is the geometric one, as in DPM-Solver-2 (Lu et al. 2022, arXiv:2206.00927, algorithm 1 at r = 1/2), but
    its slope is followed in sigma.
    """
    for high, low in pairwise(sigmas):
        slope = (x - (yield x, high)) / high
        if low > 0:
            middle = math.sqrt(high * low)
            there = x + slope * (middle - high)
            slope = (there - (yield there, middle)) / middle
        x = x + slope * (low - high)
    return x
