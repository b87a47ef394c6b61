"""DPM fast divides its calls into steps of order 3, 2 and 1."""

from __future__ import annotations

import math

import pytest

from minitoolai.core.samplers.steps_fast import fast_levels, fast_orders


@pytest.mark.parametrize(
    ("calls", "orders"),
    [
        (1, [1]),
        (2, [2]),
        (3, [2, 1]),
        (4, [3, 1]),
        (5, [3, 2]),
        (6, [3, 2, 1]),
        (7, [3, 3, 1]),
        (8, [3, 3, 2]),
        (9, [3, 3, 2, 1]),
    ],
)
def test_calls_are_divided_as_the_paper_says(calls: int, orders: list[int]) -> None:
    """Threes, and at the end what is left; where nothing is left, 2 and 1 of the last three."""
    assert fast_orders(calls) == orders


def test_no_call_is_left_over() -> None:
    """Each order is as many calls."""
    assert [sum(fast_orders(calls)) for calls in range(1, 101)] == list(range(1, 101))


def test_steps_are_of_one_width_and_so_are_their_parts() -> None:
    """In log sigma, from the most noise to the least."""
    found = fast_levels(math.exp(3), math.exp(-3), 6)
    assert [math.log(level) for level in found] == pytest.approx([3, 3 - 2 / 3, 3 - 4 / 3, 1, 0, -1, -3])
