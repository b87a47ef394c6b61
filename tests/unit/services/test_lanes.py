"""When jobs of an engine may be taken: never where an attempt would be wasted."""

from __future__ import annotations

import asyncio
import random

import pytest

from minitoolai.core.catalog import Model, PictureModel, Route
from minitoolai.core.errors import UpstreamError
from minitoolai.core.jobs import JobKind
from minitoolai.services import routing
from minitoolai.services.breaker import FIRST_PAUSE_S, State
from minitoolai.services.lanes import Lane, Lanes
from minitoolai.services.picture_ports import PictureEngine
from minitoolai.services.routing import Router
from tests.support.picture_fakes import FakePictureEngine

ALONE = PictureModel("alone", 1, engine="e")
BOTH = PictureModel("both", 1, engine="e", others=(Route("f"), Route("elsewhere")))


class Room:
    """The lane of the engine `e`, which draws three side by side and has `f` beside it."""

    def __init__(self, *models: Model) -> None:
        first, second = FakePictureEngine("e", parallel=3), FakePictureEngine("f")
        engines: dict[str, PictureEngine] = {"e": first, "f": second}
        self.router: Router[PictureModel, PictureEngine] = Router(engines, {"e": 1, "f": 1}, random.Random(1))
        #: Engines that are not there.
        self.away: set[str] = set()
        askers = {name: self._asker(name) for name in ("e", "f")}
        self.lane: Lane = Lanes(JobKind.PICTURE, self.router, models, askers).of(first)

    def _asker(self, name: str):  # type: ignore[no-untyped-def]
        async def ask() -> bool:
            return name not in self.away

        return ask

    def breaks(self, engine: str) -> None:
        """Open an engine's breaker."""
        (path,) = [path for path in self.router.paths(BOTH) if path.engine.name == engine]
        visit = path.enter()
        assert visit is not None
        visit.failed(UpstreamError(model="m"))


async def test_as_many_as_are_drawn_side_by_side() -> None:
    """Less those that are drawn."""
    room = Room(ALONE)
    assert await room.lane.free() == 3
    room.lane.running = 2
    assert await room.lane.free() == 1
    room.lane.running = 3
    assert await room.lane.free() == 0


@pytest.mark.parametrize("models", [(), (ALONE,), (ALONE, BOTH)])
async def test_none_while_the_engine_is_away(models: tuple[Model, ...]) -> None:
    """It loads, or died; some model of it has no other engine."""
    room = Room(*models)
    room.away = {"e"}
    assert await room.lane.free() == 0


async def test_none_while_it_is_left_alone() -> None:
    """Its breaker is open."""
    room = Room(ALONE)
    room.breaks("e")
    assert room.router.states()["e"] is State.OPEN
    assert await room.lane.free() == 0


async def test_all_while_another_stands_in() -> None:
    """For every model of the engine; what stands in must take work itself."""
    room = Room(BOTH)
    room.away = {"e"}
    assert await room.lane.free() == 3
    room.away = {"e", "f"}
    assert await room.lane.free() == 0
    room.away = {"e"}
    room.breaks("f")
    assert await room.lane.free() == 0


async def test_one_tries_whether_it_is_well_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the breaker's pause is over, and only while nothing else of the lane is drawn."""
    room = Room(ALONE)
    room.breaks("e")
    later = asyncio.get_running_loop().time() + FIRST_PAUSE_S + 1
    monkeypatch.setattr(routing, "_now", lambda: later)
    assert await room.lane.free() == 1
    room.lane.running = 1
    assert await room.lane.free() == 0
    room.lane.running = 0
    room.away = {"e"}
    assert await room.lane.free() == 0


async def test_an_engine_of_which_nobody_asks_is_there() -> None:
    """An upstream is known by its breaker alone."""
    room = Room(ALONE)
    engine = FakePictureEngine("e", parallel=2)
    assert await Lanes(JobKind.PICTURE, room.router, [ALONE], {}).of(engine).free() == 2
