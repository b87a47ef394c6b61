"""What the use cases of pictures need from outside: engines that draw. What jobs need stands in `job_ports`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from minitoolai.core.catalog import PictureModel
from minitoolai.core.pictures import PictureRequest
from minitoolai.services.job_ports import JobEngine


class PictureEngine(JobEngine, Protocol):
    """Something that draws pictures."""

    def check(self, model: PictureModel, request: PictureRequest) -> None:
        """Raise `InvalidValue` for what it is known not to do: calls are asked about before anything is held."""
        ...

    async def draw(self, model: PictureModel, request: PictureRequest, progress: Callable[[float], None]) -> bytes:
        """Return the picture, a PNG of exactly the asked size; `progress` is told how much is done, 0 to 1.

        Raises `UpstreamError`, `UpstreamTimeout`, `EngineRefusedRequest`, `RateLimited`, `EngineQuotaExhausted`,
        `ServiceUnavailable`, and as `check`. Cancelled, it leaves nothing running.
        """
        ...
