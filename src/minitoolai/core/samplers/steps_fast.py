"""DPM-Solver with a fixed number of model calls, "DPM-Solver-fast" (Lu et al. 2022, arXiv:2206.00927, section 3.4).

Steps of order 3, three calls each, evenly spaced in log sigma, and at the end one of order 2, 1 or both, so that the calls
come out exactly: of order 3 in all where the last step is of order 2, else of order 2. It ends at the smallest level, not
at 0: what noise is left there is too little to see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from minitoolai.core.samplers.arrays import A, Noise, Solution


def fast_orders(calls: int) -> list[int]:
    """Return the order of each step, which is also its model calls (the paper's section 3.4). Their sum is `calls`."""
    threes, rest = divmod(calls, 3)
    return [3] * threes + [rest] if rest else [3] * (threes - 1) + [2, 1]


def fast_levels(sigma_max: float, sigma_min: float, calls: int) -> tuple[float, ...]:
    """Return the level of every call, from `sigma_max`, and at the end `sigma_min`: one more than `calls`, at least 1.

    All steps are as wide as one another in log sigma, whatever their order; so are the parts of a step.
    """
    orders = fast_orders(calls)
    width = math.log(sigma_min / sigma_max) / len(orders)
    parts = [step + part / order for step, order in enumerate(orders) for part in range(order)]
    return (*(sigma_max * math.exp(width * part) for part in parts), sigma_min)


def dpm_fast(x: A, sigmas: Sequence[float], noise: Noise[A]) -> Solution[A]:
    """Take the steps whose levels `fast_levels` gives, one call at each level but the last."""
    steps = (_first_order, _second_order, _third_order)
    start = 0
    for order in fast_orders(len(sigmas) - 1):
        x = yield from steps[order - 1](x, sigmas[start : start + order + 1])
        start += order
    return x


def _first_order(x: A, levels: Sequence[float]) -> Solution[A]:
    """DPM-Solver-1, eq. 3.7: sigma_t (e^h - 1) is the way in sigma, so that it is Euler's step."""
    high, low = levels
    slope = yield from _slope(x, high)
    x = x + slope * (low - high)
    return x


def _second_order(x: A, levels: Sequence[float]) -> Solution[A]:
    """DPM-Solver-2, algorithm 1, with its middle where `levels` has it."""
    high, middle, low = levels
    slope = yield from _slope(x, high)
    change = (yield from _slope(x + slope * (middle - high), middle)) - slope
    share = math.log(high / middle) / math.log(high / low)
    x = x + slope * (low - high) - change * ((high - low) / (2 * share))
    return x


def _third_order(x: A, levels: Sequence[float]) -> Solution[A]:
    """DPM-Solver-3, algorithm 2, with its two middles where `levels` has them."""
    high, first, second, low = levels
    slope = yield from _slope(x, high)
    change = (yield from _slope(x + slope * (first - high), first)) - slope
    there = x + slope * (second - high) - change * _bend(high, first, second)
    change = (yield from _slope(there, second)) - slope
    x = x + slope * (low - high) - change * _bend(high, second, low)
    return x


def _slope(x: A, sigma: float) -> Solution[A]:
    """Ask for the model's call, and return the paper's epsilon: the noise in x, which is the slope in sigma."""
    slope: A = (x - (yield x, sigma)) / sigma
    return slope


def _bend(high: float, seen: float, low: float) -> float:
    """Return what a change of the slope, seen at one level, weighs in the way to another: the slope is taken for linear
    in log sigma. In the paper's terms sigma_t (r2 / r1) ((e^(r2 h) - 1) / (r2 h) - 1), and that with r1 for r2, 1 for r2.
    """
    return (high - low - low * math.log(high / low)) / math.log(high / seen)
