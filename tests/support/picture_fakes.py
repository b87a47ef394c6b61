"""Fakes of the ports of pictures: engines that keep their promises in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from minitoolai.core.catalog import PictureModel
from minitoolai.core.pictures import PictureRequest
from tests.support.pictures import picture

ASKED = PictureRequest("a red circle", "", "DPM++ SDE", 4, 2.0, 320, 256, 7)
DRAWN = picture(size=(ASKED.width, ASKED.height))
#: What an engine may do: give a picture, fail, or wait for the test and then give a picture.
Step = bytes | Exception | Callable[[], "asyncio.Future[bytes]"]


class FakePictureEngine:
    """An engine that follows its script, then draws what is asked."""

    between_bytes_s = 60.0
    total_s = 60.0

    def __init__(self, name: str = "e", *steps: Step, parallel: int = 1) -> None:
        self.name = name
        self.parallel = parallel
        self.steps = list(steps)
        #: What was asked: the model's name here, and the request.
        self.asked: list[tuple[str, PictureRequest]] = []
        #: What it tells of its progress.
        self.fractions: Sequence[float] = ()
        self.drawing = 0
        self.cancelled = 0

    def check(self, model: PictureModel, request: PictureRequest) -> None:
        """Take anything."""
        assert model.engine == self.name

    async def draw(self, model: PictureModel, request: PictureRequest, progress: Callable[[float], None]) -> bytes:
        """Follow the script."""
        self.check(model, request)
        self.asked.append((model.upstream_id, request))
        self.drawing += 1
        try:
            for fraction in self.fractions:
                progress(fraction)
            await asyncio.sleep(0)
            step = self.steps.pop(0) if self.steps else picture(size=(request.width, request.height))
            if isinstance(step, Exception):
                raise step
            return step if isinstance(step, bytes) else await step()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.drawing -= 1
