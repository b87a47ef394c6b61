"""Steps that remember the calls before them: a higher order at one call a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from minitoolai.core.samplers.arrays import A, Noise, Solution

#: Slopes that LMS remembers, its highest order.
LMS_SLOPES = 4
#: Of Gauss and Legendre's rule with two points, exact for polynomials up to degree 3: the points, from the middle in
#: halves of the interval.
_GAUSS_POINT = 1 / math.sqrt(3)


def lms(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """Adams and Bashforth's linear multistep method on uneven steps, up to order 4 (Hairer, Nørsett, Wanner, "Solving
    Ordinary Differential Equations I", III.5): the slope is the polynomial through the last ones, integrated exactly.
    """
    slopes: list[A] = []
    for step, (high, low) in enumerate(pairwise(sigmas)):
        slopes = [(x - (yield x, high)) / high, *slopes][:LMS_SLOPES]
        levels = [sigmas[step - back] for back in range(len(slopes))]
        for slope, weight in zip(slopes, lms_weights(levels, low), strict=True):
            x = x + slope * weight
    return x


def lms_weights(levels: Sequence[float], end: float) -> list[float]:
    """Return the integrals of the Lagrange polynomials of `levels`, the newest first, from the newest to `end`.

    At most four levels: then the two points of the rule integrate the polynomials exactly.
    """
    half, middle = (end - levels[0]) / 2, (end + levels[0]) / 2
    points = (middle - half * _GAUSS_POINT, middle + half * _GAUSS_POINT)
    return [half * sum(_lagrange(levels, which, point) for point in points) for which in range(len(levels))]


def _lagrange(levels: Sequence[float], which: int, point: float) -> float:
    """Return, at `point`, the polynomial that is 1 at one level and 0 at the others."""
    return math.prod((point - level) / (levels[which] - level) for other, level in enumerate(levels) if other != which)


def dpmpp_2m(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """DPM-Solver++(2M), arXiv:2211.01095, algorithm 2: order 2. `width` is h, the step in -log sigma.

    The last step, to 0, is infinitely wide: there the answer is the denoised picture itself.
    """
    last: A | None = None
    last_width = 0.0
    for high, low in pairwise(sigmas):
        denoised = yield x, high
        if low == 0:
            return denoised
        width = math.log(high / low)
        ahead = denoised if last is None else denoised + (denoised - last) * (width / (2 * last_width))
        x = x * (low / high) + ahead * (1 - low / high)
        last, last_width = denoised, width
    return x


def dpmpp_2m_sde(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """SDE-DPM-Solver++(2M), arXiv:2211.01095, in its midpoint form, with all its noise: order 2.

    Its last step, to 0, is the denoised picture itself.
    """
    last: A | None = None
    last_width = 0.0
    for high, low in pairwise(sigmas):
        denoised = yield x, high
        if low == 0:
            return denoised
        width = math.log(high / low)
        share = -math.expm1(-2 * width)
        moved = x * ((low / high) * math.exp(-width)) + denoised * share
        if last is not None:
            moved = moved + (denoised - last) * (0.5 * share * width / last_width)
        x = moved + noise() * (low * math.sqrt(share))
        last, last_width = denoised, width
    return x
