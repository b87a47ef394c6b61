"""One chat call's way from engine to engine: what each is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import ApiError
from minitoolai.core.inference import ChatRequest
from minitoolai.services.attempts import Attempts
from minitoolai.services.bounds import Bounds
from minitoolai.services.metering import Hold
from minitoolai.services.ports import ChatEngine, EngineReply, Pictures
from minitoolai.services.routing import Path


class ChatAttempts(Attempts[ChatModel, ChatEngine]):
    """The engines of one chat call."""

    def __init__(self, paths: Sequence[Path[ChatModel, ChatEngine]], bounds: Bounds, hold: Hold, pictures: Pictures) -> None:
        super().__init__(paths, bounds.model.id)
        self._bounds = bounds
        self._hold = hold
        self._pictures = pictures
        self._inlined: ChatRequest | None = None

    async def open(self) -> EngineReply:
        """Call the next engine; return its reply once its headers are there. Errors: `ChatEngine.open`, `Pictures`."""
        bounds, hold = self._bounds, self._hold
        if hold.granted_nusd < bounds.wanted_nusd() and not bounds.closest:
            await bounds.count_exactly(self.engine)  # a coarse bound would shorten the answer for nothing
        limit = bounds.affordable_tokens(hold.granted_nusd, hold.granted_tokens)

        async def send(path: Path[ChatModel, ChatEngine]) -> EngineReply:
            return await path.engine.open(path.model, await self._request(path.engine), limit)

        return await self._call(send)

    async def _request(self, engine: ChatEngine) -> ChatRequest:
        """Return the request as `engine` takes it: with its pictures inside, where it does not fetch them."""
        request = self._bounds.request
        if not request.images or engine.fetches_images:
            return request
        if self._inlined is None:
            try:
                self._inlined = replace(request, body=await self._pictures.inline(request.body))
            except ApiError:
                self._leave()  # pictures that cannot be had are no engine's failure
                raise
        return self._inlined
