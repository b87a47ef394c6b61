"""One job in a worker's hands is drawn: by which engine, and what becomes of it when that fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.core.errors import (
    ApiError,
    EngineQuotaExhausted,
    EngineRefusedRequest,
    InvalidValue,
    RateLimited,
    ServiceUnavailable,
    UpstreamTimeout,
)
from minitoolai.core.jobs import JobState
from minitoolai.services.breaker import State
from minitoolai.services.job_run import ENGINE_FAILED, LONGEST_WAIT_S, UNREADABLE
from minitoolai.services.picture_maker import PictureMaker
from tests.support.picture_fakes import ASKED, DRAWN, FakePictureEngine
from tests.support.pictures import picture
from tests.unit.services.job_room import BROKEN, MODEL, JobRoom


async def test_it_is_drawn_kept_and_ended() -> None:
    """The file's name has the day, the job and the attempt; the result its seed."""
    engine = FakePictureEngine()
    room = JobRoom(engine)
    hand = await room.run(attempt=2)
    name = f"pictures/2026-11-25/{hand.job.id}-2.png"
    assert room.blobs.files == {name: DRAWN}
    assert (room.queue.files[hand.job.id].name, room.queue.files[hand.job.id].size_bytes) == (name, len(DRAWN))
    assert (room.state(hand), room.queue.engines[hand.job.id]) == (JobState.SUCCEEDED, "e")
    assert room.queue.results[hand.job.id] == {"seed": 7}
    assert engine.asked == [("m", ASKED)]


async def test_its_progress_is_noted() -> None:
    """As the engine tells it, and never beyond its bounds."""
    engine = FakePictureEngine()
    room, seen = JobRoom(engine), []
    hand = await room.hand()

    class Spied(list[float]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for fraction in (0.25, -1.0, 3.0):
                yield fraction
                seen.append(hand.progress)

    engine.fractions = Spied()
    assert hand.told
    await room.runs.run(hand)
    assert seen == [0.25, 0.0, 1.0]
    assert not hand.told


@pytest.mark.parametrize(
    "failure",
    [BROKEN, UpstreamTimeout(model="m"), RateLimited(model="m"), EngineQuotaExhausted(model="m"), TimeoutError()],
)
async def test_the_next_engine_is_tried(failure: Exception) -> None:
    """Under the model's name there, and it is the one that drew it."""
    first, second = FakePictureEngine("e", failure), FakePictureEngine("f")
    room = JobRoom(first, second)
    hand = await room.run()
    assert second.asked == [("m-at-f", ASKED)]
    assert (room.state(hand), room.queue.engines[hand.job.id]) == (JobState.SUCCEEDED, "f")


@pytest.mark.parametrize("failure", [InvalidValue(param="width", why="no."), EngineRefusedRequest(model="m", where="")])
async def test_a_fault_of_the_request_ends_the_job_at_once(failure: ApiError) -> None:
    """With the error's words; no other engine is asked, and the engine is sound."""
    second = FakePictureEngine("f")
    room = JobRoom(FakePictureEngine("e", failure), second, failures=1)
    hand = await room.run()
    assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, failure.message)
    assert second.asked == []
    assert room.router.states()["e"] is State.CLOSED


@pytest.mark.parametrize(("failures", "wait_s"), [(0, 2.0), (1, 10.0)])
async def test_a_failed_attempt_is_made_again(failures: int, wait_s: float) -> None:
    """After 2 s, then after 10 s, whatever attempt it is; nothing is kept."""
    room = JobRoom(FakePictureEngine("e", BROKEN))
    hand = await room.run(attempt=5, failures=failures)
    assert (room.state(hand), room.queue.pauses) == (JobState.QUEUED, [(hand.job.id, wait_s)])
    assert room.blobs.files == {}


@pytest.mark.parametrize(("asked_s", "wait_s"), [(1, 2.0), (30, 30.0), (3600, LONGEST_WAIT_S)])
async def test_an_engine_may_ask_for_a_longer_pause(asked_s: int, wait_s: float) -> None:
    """Up to a minute."""
    room = JobRoom(FakePictureEngine("e", ServiceUnavailable(retry_after_s=asked_s)))
    await room.run()
    assert [pause for _, pause in room.queue.pauses] == [wait_s]


async def test_the_third_failure_ends_the_job() -> None:
    """Its owner is told in plain words, without the engine's."""
    room = JobRoom(FakePictureEngine("e", RuntimeError("secret of the provider")))
    hand = await room.run(attempt=7, failures=2)
    assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, ENGINE_FAILED)


async def test_what_nobody_thought_of_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The worker lives on, and the engine is not said to have failed."""
    room = JobRoom(FakePictureEngine("e", RuntimeError("anything")), failures=1)
    hand = await room.run()
    assert (room.state(hand), room.router.states()["e"]) == (JobState.QUEUED, State.CLOSED)
    assert "RuntimeError: anything" in caplog.text


@pytest.mark.parametrize(
    "drawn",
    [
        b"",
        b"<html>no picture</html>",
        picture("JPEG", size=(ASKED.width, ASKED.height)),
        picture(size=(ASKED.height, ASKED.width)),
        DRAWN[:-1],
    ],
    ids=["nothing", "text", "jpeg", "other size", "cut off"],
)
async def test_what_is_no_such_picture_is_the_engines_failure(drawn: bytes) -> None:
    """Its breaker hears of it, and the job is tried again."""
    room = JobRoom(FakePictureEngine("e", drawn), failures=1)
    hand = await room.run()
    assert (room.state(hand), room.router.states()["e"]) == (JobState.QUEUED, State.OPEN)
    assert room.blobs.files == {}


async def test_an_engine_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its own time-out; its drawing is cancelled."""
    engine = FakePictureEngine("e", lambda: asyncio.get_running_loop().create_future())
    monkeypatch.setattr(engine, "total_s", 0.001)
    room = JobRoom(engine)
    hand = await room.run()
    assert (room.state(hand), engine.cancelled, engine.drawing) == (JobState.QUEUED, 1, 0)


async def test_engines_that_are_left_alone_are_passed_over() -> None:
    """The one that stands in draws; where there is none, the job is tried again."""
    first, second = FakePictureEngine("e", BROKEN, BROKEN), FakePictureEngine("f")
    room = JobRoom(first, second, failures=1)
    await room.run()
    await room.run()
    assert (len(first.asked), len(second.asked)) == (1, 2)
    alone = JobRoom(FakePictureEngine("e", BROKEN), failures=1)
    await alone.run()
    hand = await alone.run()
    assert alone.state(hand) is JobState.QUEUED


async def test_one_probe_at_a_time() -> None:
    """Between the look at a breaker and the call another may have taken the probe: then nobody is called."""
    engine = FakePictureEngine()
    room = JobRoom(engine)
    (path,) = room.router.paths(replace(MODEL, others=()))

    class Taken:
        def paths(self, model: PictureModel) -> list[object]:
            return [replace(path, breaker=Closed())]  # type: ignore[arg-type]

    class Closed:
        def enter(self, now: float) -> None:
            return None

    room.maker = PictureMaker(Catalog([MODEL]), Taken())  # type: ignore[arg-type]
    room.runs = room.over(room.blobs)
    hand = await room.run()
    assert (room.state(hand), engine.asked) == (JobState.QUEUED, [])


@pytest.mark.parametrize(
    ("model", "words"), [("gone", "does not exist"), ("c", "chats")]
)  # fmt: skip
async def test_a_model_that_cannot_draw_ends_the_job(model: str, words: str) -> None:
    """The settings have changed since it was asked for."""
    room = JobRoom(FakePictureEngine())
    hand = await room.run(model=model)
    assert room.state(hand) is JobState.FAILED
    assert words in room.queue.messages[hand.job.id]


async def test_a_model_without_an_engine_waits() -> None:
    """It may have one again, here or at another worker."""
    room = JobRoom(FakePictureEngine())
    hand = await room.run(model="n")
    assert room.state(hand) is JobState.QUEUED


async def test_a_request_that_cannot_be_read_ends_the_job() -> None:
    """No attempt would read it."""
    room = JobRoom(FakePictureEngine())
    hand = await room.run(request=b"{}")
    assert (room.state(hand), room.queue.messages[hand.job.id]) == (JobState.FAILED, UNREADABLE)
