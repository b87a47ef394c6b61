"""One picture from noise to end: the loop around a scheduler's generator that calls the model.

Whoever draws several pictures in one call of the model has a generator for each (`Scheduler.solve`) and a loop of its
own: each asks for `(x, sigma)`, and no two need to have the same scheduler, levels or number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from minitoolai.core.samplers.arrays import A, Noise, Solution
from minitoolai.core.samplers.table import scheduler


def run(
    name: str,
    x: A,
    sigmas: Sequence[float],
    noise: Noise[A],
    denoise: Callable[[A, float], A],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> A:
    """Return the picture, of x's shape, that the scheduler `name` makes of `x`, which has noise of level `sigmas[0]`.

    `sigmas` are `Scheduler.sigmas`, at least two levels; `x` is standard normal noise times `start_scale(sigmas[0])`;
    `noise` draws as much at each call. `denoise(x, sigma)` returns the picture that the model sees in x, and leaves x as
    it is. `progress(done, total)` is told before the first call of the model, with 0, and after each. Whatever it or
    `denoise` raises ends the picture and comes through: so a picture is cancelled between two calls.

    Raises `SchedulerUnknown`.
    """
    chosen = scheduler(name)
    total = chosen.calls(sigmas)
    solution: Solution[A] = chosen.solve(x, sigmas, noise)
    progress(0, total)
    with closing(solution):
        asked = next(solution)
        done = 0
        while True:
            denoised = denoise(*asked)
            done += 1
            progress(done, total)
            try:
                asked = solution.send(denoised)
            except StopIteration as end:
                picture: A = end.value
                return picture
