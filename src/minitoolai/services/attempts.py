"""One call's way from engine to engine: the next is tried while no byte has reached the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minitoolai.core.errors import ApiError, DatabaseUnavailable, Draining, NoEngine
from minitoolai.core.inference import ChatRequest
from minitoolai.services.bounds import Bounds
from minitoolai.services.metering import Hold
from minitoolai.services.ports import ChatEngine, EngineReply, Pictures
from minitoolai.services.routing import OTHERS_MAY_DO_BETTER, Path

#: Among what the next engine may do better at by their class, what has nothing to do with engines.
_OURS = (Draining, DatabaseUnavailable)


class Attempts:
    """The engines of one call. Each that was called is told apart once: it worked, it failed, or neither was seen."""

    def __init__(self, paths: Sequence[Path], bounds: Bounds, hold: Hold, pictures: Pictures) -> None:
        self._paths = list(paths)
        self._bounds = bounds
        self._hold = hold
        self._pictures = pictures
        self._inlined: ChatRequest | None = None
        self._path: Path | None = None
        #: The reply of the engine called last, also once it is closed; None: it has not begun.
        self.reply: EngineReply | None = None
        self._is_open = False
        #: Engines called so far.
        self.count = 0
        #: The engine called last, or the first to be.
        self.engine: ChatEngine = paths[0].engine

    async def open(self) -> EngineReply:
        """Call the next engine; return its reply once its headers are there. Errors: `ChatEngine.open`, `Pictures`."""
        bounds, hold = self._bounds, self._hold
        if hold.granted_nusd < bounds.wanted_nusd() and not bounds.exact:
            await bounds.count_exactly(self.engine)  # a coarse bound would shorten the answer for nothing
        limit = bounds.affordable_tokens(hold.granted_nusd, hold.granted_tokens)
        request = await self._request(self._paths[0].engine) if self._paths else bounds.request
        path = self._path = self._next()
        self.engine = path.engine
        self.count += 1
        self.reply = None
        self.reply = await path.engine.open(path.model, request, limit)
        self._is_open = True
        return self.reply

    def failed(self, error: ApiError) -> bool:
        """Note that the engine called last did not answer; whether there is another that may."""
        self.close()
        if isinstance(error, _OURS):
            return False
        self._tell(error)
        return bool(self._paths) and isinstance(error, OTHERS_MAY_DO_BETTER)

    def worked(self) -> None:
        """Note that the engine did its work."""
        self._tell(None)

    def end(self) -> None:
        """Let go of the reply; an engine that nothing was said of stays as it was."""
        self.close()
        if self._path is not None:
            self._path.breaker.left()
            self._path = None

    def close(self) -> None:
        """Let go of the reply; one that has not ended is cut off."""
        if self.reply is not None and self._is_open:
            self._is_open = False
            self.reply.close()

    def _tell(self, failure: ApiError | None) -> None:
        if self._path is not None:
            self._path.ended(failure)
            self._path = None

    def _next(self) -> Path:
        while self._paths:
            path = self._paths.pop(0)
            if path.enter():
                return path
        raise NoEngine(param="model", model=self._bounds.model.id, retry_after_s=5)

    async def _request(self, engine: ChatEngine) -> ChatRequest:
        """Return the request as `engine` takes it: with its pictures inside, where it does not fetch them."""
        request = self._bounds.request
        if not request.images or engine.fetches_images:
            return request
        if self._inlined is None:
            self._inlined = replace(request, body=await self._pictures.inline(request.body))
        return self._inlined
