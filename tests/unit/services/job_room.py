"""A queue, a place for files and engines in memory, and jobs that are run over them."""

from __future__ import annotations

import random
from datetime import date

import msgspec

from minitoolai.core.catalog import Catalog, ChatModel, PictureModel, Route
from minitoolai.core.errors import UpstreamError
from minitoolai.core.jobs import JobKind, JobState
from minitoolai.core.pricing import TokenPrices
from minitoolai.services.job_run import InHand, JobRun
from minitoolai.services.picture_maker import PictureMaker
from minitoolai.services.picture_ports import PictureEngine
from minitoolai.services.routing import Router
from tests.support.blobs import FakeBlobs
from tests.support.picture_fakes import FakePictureEngine
from tests.support.queue_fakes import FakeJobQueue

MODEL = PictureModel("m", 1_500_000, engine="e", others=(Route("f", "m-at-f"),))
CHAT = ChatModel("c", TokenPrices(1, 1), 1000, 500, engine="e")
NOWHERE = PictureModel("n", 1_500_000)
BROKEN = UpstreamError(model="m")


class JobRoom:
    """A queue, a place for files, and engines for one run after another."""

    def __init__(self, *engines: FakePictureEngine, failures: int = 0) -> None:
        self.queue, self.blobs = FakeJobQueue(), FakeBlobs()
        drawing: dict[str, PictureEngine] = {engine.name: engine for engine in engines}
        self.router = Router[PictureModel, PictureEngine](drawing, dict.fromkeys(drawing, failures), random.Random(1))
        self.maker = PictureMaker(Catalog([MODEL, CHAT, NOWHERE]), self.router)
        self.runs = self.over(self.blobs)

    def over(self, blobs: FakeBlobs) -> JobRun:
        """Return runs that keep what is made in another place."""
        return JobRun({JobKind.PICTURE: self.maker}, self.queue, blobs, today=lambda: date(2026, 11, 25))

    async def hand(self, *, attempt: int = 1, failures: int = 0, model: str = "m", request: bytes | None = None) -> InHand:
        """Return a job in hand, claimed as its `attempt` after so many failures."""
        self.queue.add(attempt=attempt - 1, failures=failures, model=model)
        (job,) = await self.queue.claim("e", JobKind.PICTURE, 1)
        return InHand(job if request is None else msgspec.structs.replace(job, request=request))

    async def run(self, **options: object) -> InHand:
        """Run a job to its end; return what was in hand."""
        hand = await self.hand(**options)  # type: ignore[arg-type]
        await self.runs.run(hand)
        return hand

    def state(self, hand: InHand) -> JobState:
        """How the database sees it."""
        return self.queue.states[hand.job.id]
