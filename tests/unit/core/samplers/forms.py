"""A number as a sum of independent normals: a linear sampler's whole distribution, to the last bit and without drawing.

It has the four operations that the samplers may use and nothing else: whatever more they asked of an array would fail.
"""

from __future__ import annotations

import math

from minitoolai.core.samplers import run

#: Of the one Gaussian that the pictures come from.
DEVIATION = 0.6


class Form:
    """A sum of independent standard normals, by their numbers, each with its weight."""

    def __init__(self, weights: dict[int, float]) -> None:
        self.weights = weights

    def __add__(self, other: Form) -> Form:
        both = self.weights.keys() | other.weights.keys()
        return Form({which: self.weights.get(which, 0.0) + other.weights.get(which, 0.0) for which in both})

    def __sub__(self, other: Form) -> Form:
        return self + other * -1.0

    def __mul__(self, factor: float) -> Form:
        assert type(factor) is float, "no number of an array library: it would widen an array of 16 bits"
        return Form({which: weight * factor for which, weight in self.weights.items()})

    def __truediv__(self, divisor: float) -> Form:
        assert type(divisor) is float
        return self * (1 / divisor)

    @property
    def variance(self) -> float:
        """Of the sum."""
        return math.fsum(weight * weight for weight in self.weights.values())


def denoise(x: Form, sigma: float) -> Form:
    """The posterior's mean of a Gaussian."""
    return x * (DEVIATION**2 / (DEVIATION**2 + sigma**2))


def outcome(name: str, sigmas: list[float]) -> Form:
    """What a scheduler makes of the exact distribution at `sigmas[0]`."""
    drawn = [0]

    def noise() -> Form:
        drawn.append(len(drawn))
        return Form({drawn[-1]: 1.0})

    return run(name, Form({0: math.hypot(DEVIATION, sigmas[0])}), sigmas, noise, denoise)
