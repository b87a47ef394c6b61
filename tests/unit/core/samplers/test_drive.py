"""The loop around a scheduler: progress, an end between two calls, pictures that depend on their own noise only."""

from __future__ import annotations

import numpy as np
import pytest

from minitoolai.core.samplers import SCHEDULERS, SchedulerUnknown, run, scheduler, start_scale
from tests.unit.core.samplers import mixture
from tests.unit.core.samplers.mixture import LEVELS, Numbers, normal

SIZE = 30


class Left(Exception):
    """The caller does not want the picture any more."""


def alone(name: str, steps: int, seed: int) -> Numbers:
    """A picture by itself."""
    sigmas = scheduler(name).sigmas(LEVELS, steps)
    noise = normal(seed, SIZE)
    return run(name, noise() * start_scale(sigmas[0]), sigmas, noise, mixture.denoise)


def together(jobs: list[tuple[str, int, int]]) -> list[Numbers]:
    """Pictures whose every call of the model is one for all that still need one."""
    found: dict[int, Numbers] = {}
    waiting = {}
    for which, (name, steps, seed) in enumerate(jobs):
        sigmas = scheduler(name).sigmas(LEVELS, steps)
        noise = normal(seed, SIZE)
        solution = scheduler(name).solve(noise() * start_scale(sigmas[0]), sigmas, noise)
        waiting[which] = (solution, next(solution))
    while waiting:
        batch = np.stack([x for _, (x, _) in waiting.values()])
        sigma = np.array([[sigma] for _, (_, sigma) in waiting.values()])
        for which, denoised in zip(list(waiting), mixture.denoise(batch, sigma), strict=True):
            solution = waiting.pop(which)[0]
            try:
                waiting[which] = (solution, solution.send(denoised))
            except StopIteration as end:
                found[which] = end.value
    return [found[which] for which in range(len(jobs))]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_same_noise_is_the_same_picture(name: str) -> None:
    """To the bit; other noise is another picture."""
    assert np.array_equal(alone(name, 4, 7), alone(name, 4, 7))
    assert not np.allclose(alone(name, 4, 7), alone(name, 4, 8))


def test_a_picture_does_not_depend_on_its_batch() -> None:
    """All 18 at once, each with its own seed and number of steps, and each as it is by itself."""
    jobs = [(name, 1 + which % 8, which) for which, name in enumerate(SCHEDULERS)]
    for job, found in zip(jobs, together(jobs), strict=True):
        assert np.allclose(found, alone(*job), rtol=1e-10, atol=1e-10), job


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_narrow_numbers_stay_narrow(name: str, kind: type[np.floating]) -> None:
    """An array of 16 or 32 bits is not widened on the way, and what was given is not changed."""
    sigmas = scheduler(name).sigmas(LEVELS, 5)
    start = (normal(1, SIZE)() * start_scale(sigmas[0])).astype(kind)
    before = start.copy()
    noise = normal(2, SIZE)
    found = run(name, start, sigmas, lambda: noise().astype(kind), lambda x, sigma: x * (1 / (1 + sigma * sigma)))
    assert found.dtype == kind
    assert np.array_equal(start, before)


@pytest.mark.parametrize("name", ["Euler", "DPM++ SDE", "DPM fast"])
def test_progress_is_told_after_every_call(name: str) -> None:
    """From none to all, of the number of calls that was known before."""
    told: list[tuple[int, int]] = []
    sigmas = scheduler(name).sigmas(LEVELS, 4)
    run(name, 14.0, sigmas, lambda: 0.5, lambda x, sigma: x / (1 + sigma * sigma), lambda *at: told.append(at))
    total = scheduler(name).calls(sigmas)
    assert told == [(done, total) for done in range(total + 1)]


def test_a_picture_ends_between_two_calls() -> None:
    """What `progress` raises comes through, and the model is not called again."""
    called: list[float] = []

    def denoise(x: float, sigma: float) -> float:
        called.append(sigma)
        return x / (1 + sigma * sigma)

    def progress(done: int, total: int) -> None:
        if done == 2:
            raise Left

    with pytest.raises(Left):
        run("DPM++ SDE", 14.0, scheduler("DPM++ SDE").sigmas(LEVELS, 8), lambda: 0.5, denoise, progress)
    assert len(called) == 2


def test_what_the_model_raises_comes_through() -> None:
    """Even what ends a generator: it is the model's failure, and no picture."""

    def denoise(x: float, sigma: float) -> float:
        raise StopIteration

    with pytest.raises(StopIteration):
        run("Euler", 14.0, [14.6, 0.0], lambda: 0.5, denoise)


def test_an_unknown_scheduler_is_refused() -> None:
    """Before anything is drawn."""
    with pytest.raises(SchedulerUnknown):
        run("Euler b", 14.0, [14.6, 0.0], lambda: 0.5, lambda x, sigma: x)
