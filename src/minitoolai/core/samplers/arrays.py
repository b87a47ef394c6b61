"""What the samplers need of an array, and the shape that all of them have: generators that ask for the model's calls."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar


class Array(Protocol):
    """A numpy array, a torch tensor, a number: its own arithmetic, each operation a new array of the same shape.

    Numbers are Python floats and stand on the right, so that arrays of 16 or 32 bits stay so.
    """

    def __add__(self, other: Any, /) -> Any:
        """Return the sum of two arrays."""

    def __sub__(self, other: Any, /) -> Any:
        """Return the difference of two arrays."""

    def __mul__(self, other: Any, /) -> Any:
        """Return the array times a number."""

    def __truediv__(self, other: Any, /) -> Any:
        """Return the array by a number."""


A = TypeVar("A", bound=Array)

#: Yields `(x, sigma)` where it needs the model: x of any shape with noise of level sigma > 0 in it. It is sent the
#: picture without noise that the model sees in x, of the same shape, and returns the last x.
Solution = Generator[tuple[A, float], A, A]
#: Draws standard normal noise of x's shape, independent at each call.
Noise = Callable[[], A]
#: `(x, sigmas, noise)`: x with noise of level `sigmas[0]`, and the levels to walk, each below the one before it. All are
#: above 0 but the last, which may be 0.
Solve = Callable[[A, Sequence[float], Noise[A]], Solution[A]]
