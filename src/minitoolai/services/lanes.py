"""Lanes: the jobs of one kind at one engine each, as one worker takes them, and when they may be taken.

A claim is an attempt. While an engine loads, is away or is left alone by its breaker, its jobs stay in the queue, unless
each of their models has another engine here that takes work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minitoolai.core.catalog import Model
from minitoolai.core.jobs import JobKind
from minitoolai.services.breaker import State
from minitoolai.services.job_ports import JobEngine
from minitoolai.services.routing import Router


@dataclass(eq=False)
class Lane:
    """The jobs of one kind at one engine."""

    engine: str
    kind: JobKind
    #: Jobs done side by side.
    parallel: int
    #: Returns how many jobs may be taken now, beside those that run, as far as the engines are concerned.
    room: Callable[[], Awaitable[int]]
    #: Jobs in hand.
    running: int = 0
    #: Set when a job has ended, and when the worker stops.
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def free(self) -> int:
        """Return how many jobs are to be taken now."""
        left = self.parallel - self.running
        return min(left, await self.room()) if left > 0 else 0


class Lanes:
    """Makes the lanes of one worker for one kind of jobs."""

    def __init__(
        self,
        kind: JobKind,
        router: Router[Any, Any],
        models: Iterable[Model],
        ready: Mapping[str, Callable[[], Awaitable[bool]]],
    ) -> None:
        """`router` and `models`: of that kind. `ready`: says of an engine whether it is there; of those that are not in it
        nobody asks."""
        self._kind = kind
        self._router = router
        self._models = list(models)
        self._ready = ready

    def of(self, engine: JobEngine) -> Lane:
        """Return the lane of one engine."""
        models = [model for model in self._models if model.engine == engine.name]

        async def room() -> int:
            state = self._router.states()[engine.name]
            there = await self._is_there(engine.name)
            if (there and state is State.CLOSED) or await self._others_stand_in(models):
                return engine.parallel
            # One tries whether it is well again.
            return 1 if there and state is State.HALF_OPEN and not lane.running else 0

        lane = Lane(engine.name, self._kind, engine.parallel, room)
        return lane

    async def _others_stand_in(self, models: Iterable[Model]) -> bool:
        """Whether each of `models` has another engine that takes work, and there is any model."""
        states = self._router.states()
        others = [[route.engine for route in model.others if route.engine in states] for model in models]
        taking = {
            name for name in {name for names in others for name in names}
            if states[name] is State.CLOSED and await self._is_there(name)
        }  # fmt: skip
        return bool(others) and all(taking.intersection(names) for names in others)

    async def _is_there(self, engine: str) -> bool:
        ask = self._ready.get(engine)
        return ask is None or await ask()
