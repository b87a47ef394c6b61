"""One call's way from engine to engine: the next is tried while no byte has reached the caller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

from minitoolai.core.errors import ApiError, DatabaseUnavailable, Draining, NoEngine, ServerError
from minitoolai.core.records import CallFacts
from minitoolai.services.ports import EngineReply
from minitoolai.services.routing import OTHERS_MAY_DO_BETTER, AnyEngine, AnyModel, Path, Visit

#: What has nothing to do with engines.
_OURS = (Draining, DatabaseUnavailable, ServerError)


class Attempts(ABC, Generic[AnyModel, AnyEngine]):
    """The engines of one call. Of each that was called is said how it did: it works, it failed, or nothing was seen."""

    def __init__(self, paths: Sequence[Path[AnyModel, AnyEngine]], model_id: str) -> None:
        self._paths = list(paths)
        self._model_id = model_id
        #: The engine that is called, or is the next to be; None: nothing more is to be said of the last one.
        self._visit: Visit[AnyModel, AnyEngine] | None = None
        self._errors: list[ApiError] = []
        #: The reply of the engine called last, also once it is closed; None: it has not begun.
        self.reply: EngineReply | None = None
        self._is_open = False
        #: Engines called so far.
        self.count = 0
        #: Engines that failed the call, each with the code of its failure.
        self.failures: list[tuple[str, str]] = []
        #: The engine called last, or the first to be.
        self.engine: AnyEngine = paths[0].engine

    @abstractmethod
    async def open(self) -> EngineReply:
        """Call the next engine; return its reply once its headers are there. Raises as the engine does."""

    async def _call(self, send: Callable[[Path[AnyModel, AnyEngine]], Awaitable[EngineReply]]) -> EngineReply:
        visit = self._visit = self._visit or self._next()
        if visit is None:
            raise NoEngine(param="model", model=self._model_id, retry_after_s=5)
        self.engine = visit.path.engine
        self.count += 1
        self.reply = await send(visit.path)
        self._is_open = True
        return self.reply

    def failed(self, error: ApiError, *, again: bool) -> bool:
        """Note that the engine called last did not answer; whether there is another that may, where the call may be made
        `again`: it is called next."""
        self.close()
        visit, self._visit = self._visit, None
        if visit is None:
            return False
        if isinstance(error, _OURS):
            visit.left()
            return False
        visit.failed(error)
        if not isinstance(error, OTHERS_MAY_DO_BETTER):
            return False
        self.failures.append((self.engine.name, error.code))
        self._errors.append(error)
        self._visit = self._next() if again else None
        if self._visit is None:
            return False
        self.engine, self.reply = self._visit.path.engine, None
        return True

    def outcome(self, last: ApiError) -> ApiError:
        """Return what the caller is told after the `last` failure: the shortest wait, where every engine asked for one."""
        if last in self._errors and all(error.retry_after_s is not None for error in self._errors):
            return min(self._errors, key=lambda error: error.retry_after_s or 0)
        return last

    def answers(self) -> None:
        """Note that the engine's answer has begun; it may still fail the call."""
        if self._visit is not None:
            self._visit.answers()

    def worked(self) -> None:
        """Note that the engine did its work."""
        if self._visit is not None:
            self._visit.worked()
            self._visit = None

    def tell(self, facts: CallFacts) -> None:
        """Note which engines were called."""
        facts.attempts, facts.failures, facts.engine = self.count, self.failures, self.engine.name

    def end(self) -> None:
        """Let go of the reply; an engine that nothing was said of stays as it was."""
        self.close()
        self._leave()

    def close(self) -> None:
        """Let go of the reply; one that has not ended is cut off."""
        if self.reply is not None and self._is_open:
            self._is_open = False
            self.reply.close()

    def _leave(self) -> None:
        if self._visit is not None:
            self._visit.left()
            self._visit = None

    def _next(self) -> Visit[AnyModel, AnyEngine] | None:
        while self._paths:
            visit = self._paths.pop(0).enter()
            if visit is not None:
                return visit
        return None
