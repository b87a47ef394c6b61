"""Pictures with jobs in memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minitoolai.core.catalog import Catalog, ChatModel, PictureModel
from minitoolai.core.pictures import PictureRequest
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.records import CallFacts
from minitoolai.services.calls import OpenCalls
from minitoolai.services.drawing import Drawing, Drawn
from minitoolai.services.jobs import JobDesk, Made
from minitoolai.services.metering import new_call_id
from minitoolai.services.picture_call import PictureCall
from minitoolai.services.picture_jobs import PictureJobs
from tests.support.fakes import FakeReplays, principal
from tests.support.job_fakes import FakeJobs, FakeNews

PRICE = 1_500_000
MODELS = (
    PictureModel("draws", PRICE, engine="onnx", aliases=("alias",)),
    PictureModel("some", PRICE, engine="up", sizes=("512x512", "1536x1024")),
    PictureModel("nobody", PRICE),
    ChatModel("chats", TokenPrices(1, 1), 1000, 500, engine="up"),
)
PICTURE = PictureRequest("a red circle", "", "Euler", 4, 2.0, 1024, 1024, 7)
CALL = PictureCall("draws", PICTURE)
KEY = bytes(32)


class Chance(random.Random):
    """Draws what a test says, then as random as any."""

    def __init__(self, *drawn: int) -> None:
        super().__init__(1)
        self.drawn = list(drawn)

    def randrange(self, *arguments: Any) -> int:
        """Return the next number."""
        return self.drawn.pop(0) if self.drawn else super().randrange(*arguments)


class PictureRoom:
    """A use case of pictures, and all that it sees."""

    def __init__(self, *drawn: int) -> None:
        """`drawn`: the first ids."""
        self.jobs, self.news, self.replays = FakeJobs(), FakeNews(), FakeReplays()
        self.chance = Chance(*drawn)
        self.calls = OpenCalls()
        self.facts = CallFacts()
        self.desk = JobDesk(self.jobs, self.news, self.replays, signature_key=KEY, chance=self.chance)
        self.pictures = PictureJobs(Catalog(MODELS), self.desk, chance=self.chance)
        self.drawing = Drawing(self.pictures, self.calls)

    async def create(self, call: PictureCall = CALL, **changes: Any) -> Made:
        """Make a job."""
        return await self.pictures.create(principal(), new_call_id(), replace(call, **changes), self.facts)

    async def draw(self, call: PictureCall = CALL, **changes: Any) -> Drawn:
        """Make jobs and wait for them."""
        return await self.drawing.draw(principal(), new_call_id(), replace(call, **changes), self.facts)

    @property
    def ids(self) -> Sequence[int]:
        """The jobs that were made."""
        return [new.id for new in self.jobs.made]
