"""Which engine answers a call: the order in which a model's engines are tried, and what their breakers say."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from minitoolai.core.catalog import Model
from minitoolai.core.errors import (
    ApiError,
    EngineLacksModel,
    NoEngine,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.services.breaker import Breaker, State
from minitoolai.services.ports import Engine

#: Failures after which the next engine may do better. A refusal of the request itself is the same everywhere.
OTHERS_MAY_DO_BETTER = (UpstreamError, UpstreamTimeout, RateLimited, ServiceUnavailable)

AnyModel = TypeVar("AnyModel", bound=Model)
AnyEngine = TypeVar("AnyEngine", bound=Engine)

_BY_BADNESS = (State.CLOSED, State.HALF_OPEN, State.OPEN)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Path(Generic[AnyModel, AnyEngine]):
    """One engine that a call may try."""

    #: The model as it is there.
    model: AnyModel
    engine: AnyEngine
    breaker: Breaker
    #: See `core.catalog.Route`.
    weight: int = 1

    def enter(self) -> Visit[AnyModel, AnyEngine] | None:
        """Let a call go to the engine; None: it is left alone at present."""
        ticket = self.breaker.enter(_now())
        return None if ticket is None else Visit(self, ticket)


@dataclass(frozen=True, slots=True)
class Visit(Generic[AnyModel, AnyEngine]):
    """A call's stay at an engine: says how the engine did, for the calls that come after."""

    path: Path[AnyModel, AnyEngine]
    _ticket: int

    def answers(self) -> None:
        """Say that the engine's answer has begun."""
        self.path.breaker.answers(self._ticket)

    def worked(self) -> None:
        """Say that the engine did its work."""
        self.path.breaker.succeeded(self._ticket)

    def failed(self, failure: ApiError) -> None:
        """Say how the engine failed the call: whether it is broken, busy, or sound and only refused the request."""
        breaker = self.path.breaker
        if isinstance(failure, RateLimited | ServiceUnavailable):
            breaker.busy(self._ticket, _now(), float(failure.retry_after_s or 1))
        elif not isinstance(failure, UpstreamError | UpstreamTimeout) or isinstance(failure, EngineLacksModel):
            breaker.succeeded(self._ticket)  # its other models are answered
        elif breaker.failed(self._ticket, _now()):
            log.error("engine %s keeps failing: it is left alone for a while", self.path.engine.name)

    def left(self) -> None:
        """Say that the call ended without a word on the engine."""
        self.path.breaker.left(self._ticket)


class Router(Generic[AnyModel, AnyEngine]):
    """The engines of one process for one kind of model, and how each is doing."""

    def __init__(self, engines: Mapping[str, AnyEngine], failures: Mapping[str, int], chance: random.Random) -> None:
        """`failures`: how many in a row open an engine's breaker (0: none do); `chance` draws among weights."""
        self._engines = engines
        self._breakers = {name: Breaker(failures.get(name, 0)) for name in engines}
        self._chance = chance
        #: The paths of each model by its id, in the order of its routes: made once, since every call asks for them.
        self._ways: dict[str, list[Path[AnyModel, AnyEngine]]] = {}

    def states(self) -> dict[str, State]:
        """Return each engine's state."""
        now = _now()
        return {name: breaker.state(now) for name, breaker in self._breakers.items()}

    def paths(self, model: AnyModel) -> list[Path[AnyModel, AnyEngine]]:
        """Return the engines to try, in order: those that may be called first, busy ones behind them.

        Raises `NoEngine` when there is none, or all are left alone at present.
        """
        found = self._ways.get(model.id)
        if found is None:
            found = self._ways[model.id] = [
                Path(model.by(route), self._engines[route.engine], self._breakers[route.engine], route.weight)
                for route in model.routes
                if route.engine in self._engines
            ]
        if model.others and model.weight is not None:
            found = self._draw(found)
        now = _now()
        open_now = [path for path in found if path.breaker.wait_s(now) == 0]
        if not open_now:
            waits = [path.breaker.wait_s(now) for path in found]
            raise NoEngine(param="model", model=model.id, retry_after_s=math.ceil(min(waits)) if waits else 30)
        if len(open_now) > 1:
            open_now.sort(key=lambda path: path.breaker.is_busy(now))
        return open_now

    def _draw(self, paths: Sequence[Path[AnyModel, AnyEngine]]) -> list[Path[AnyModel, AnyEngine]]:
        """Return the paths in a random order, each first as often as its weight says; those of weight 0 last."""
        left, drawn = [path for path in paths if path.weight], []
        while left:
            (path,) = self._chance.choices(left, [each.weight for each in left])
            left.remove(path)
            drawn.append(path)
        return [*drawn, *(path for path in paths if not path.weight)]


def states_of(*routers: Router[Any, Any]) -> dict[str, State]:
    """Return each engine's state; of one that several routers have, the worst."""
    worst: dict[str, State] = {}
    for name, state in (found for router in routers for found in router.states().items()):
        worst[name] = max(worst.get(name, state), state, key=_BY_BADNESS.index)
    return worst


def _now() -> float:
    return asyncio.get_running_loop().time()
