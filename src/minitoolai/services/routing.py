"""Which engine answers a call: the order in which a model's engines are tried, and what their breakers say."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minitoolai.core.catalog import ChatModel, Route
from minitoolai.core.errors import (
    ApiError,
    EngineQuotaExhausted,
    NoEngine,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.services.breaker import Breaker, State
from minitoolai.services.ports import ChatEngine

#: Failures after which the next engine may do better. A refusal of the request itself is the same everywhere.
OTHERS_MAY_DO_BETTER = (UpstreamError, UpstreamTimeout, RateLimited, ServiceUnavailable)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Path:
    """One engine that a call may try."""

    #: The model as it is there.
    model: ChatModel
    engine: ChatEngine
    breaker: Breaker

    def enter(self) -> bool:
        """Whether a call may go to the engine now; it must then be told of the end by `ended`."""
        return self.breaker.enter(_now())

    def ended(self, failure: BaseException | None) -> None:
        """Say how the engine did: it worked (None), it failed, or it was not its doing."""
        if failure is None:
            self.breaker.succeeded()
        elif isinstance(failure, EngineQuotaExhausted | RateLimited):
            self.breaker.busy(_now(), float(failure.retry_after_s or 1))
        elif isinstance(failure, UpstreamError | UpstreamTimeout):
            if self.breaker.failed(_now()):
                log.error("engine %s keeps failing: it is left alone for a while", self.engine.name)
        elif isinstance(failure, ApiError):
            self.breaker.succeeded() if not isinstance(failure, ServiceUnavailable) else self.breaker.left()
        else:
            self.breaker.left()


class Router:
    """The engines of one process, and how each is doing."""

    def __init__(self, engines: Mapping[str, ChatEngine], failures: Mapping[str, int], chance: random.Random) -> None:
        """`failures`: how many in a row open an engine's breaker (0: none do); `chance` draws among weights."""
        self._engines = engines
        self._breakers = {name: Breaker(failures.get(name, 0)) for name in engines}
        self._chance = chance

    def states(self) -> dict[str, State]:
        """Return each engine's state."""
        now = _now()
        return {name: breaker.state(now) for name, breaker in self._breakers.items()}

    def paths(self, model: ChatModel) -> list[Path]:
        """Return the engines to try, in order: those that may be called first, busy ones behind them.

        Raises `NoEngine` when there is none, or all are left alone at present.
        """
        if not model.others:
            routes: Sequence[Route] = model.routes
        elif model.weight is None:
            routes = model.routes
        else:
            routes = self._draw(model.routes)
        now = _now()
        found = [
            Path(model.by(route), self._engines[route.engine], self._breakers[route.engine])
            for route in routes
            if route.engine in self._engines
        ]
        open_now = [path for path in found if path.breaker.wait_s(now) == 0]
        if not open_now:
            waits = [path.breaker.wait_s(now) for path in found]
            raise NoEngine(param="model", model=model.id, retry_after_s=max(1, round(min(waits))) if waits else 30)
        if len(open_now) > 1:
            open_now.sort(key=lambda path: path.breaker.is_busy(now))
        return open_now

    def _draw(self, routes: Sequence[Route]) -> list[Route]:
        """Return the routes in a random order, each first as often as its weight says; those of weight 0 last."""
        left, drawn = [route for route in routes if route.weight], []
        while left:
            (route,) = self._chance.choices(left, [each.weight for each in left])
            left.remove(route)
            drawn.append(route)
        return [*drawn, *(route for route in routes if not route.weight)]


def _now() -> float:
    return asyncio.get_running_loop().time()
