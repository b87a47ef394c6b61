"""A sound that is not written down costs nothing, unless its caller left once the work was done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from minitoolai.core.errors import ApiError, Draining, EngineRefusedRequest, UpstreamError, UpstreamTimeout
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.sse import event
from minitoolai.services import transcription_call
from tests.unit.services.transcription_room import COST, DONE, HELLO, REPLY, FakeWriter, TranscriptionRoom

Run = Callable[[TranscriptionRoom], Coroutine[Any, Any, object]]
RUNS: list[Run] = [TranscriptionRoom.whole, TranscriptionRoom.stream]


def frames(text: str) -> list[dict[str, Any]]:
    """Return the data of the frames that were written."""
    return [json.loads(frame.removeprefix("data: ")) for frame in text.split("\n\n")[:-1]]


async def stopped(room: TranscriptionRoom, run: Run, reason: ApiError | CallerLeft | None) -> BaseException | None:
    """Stop the running call where it hangs; return what it ends with. Without a reason its task is just cancelled."""
    task = asyncio.ensure_future(run(room))
    await room.there.wait()
    if reason is None:
        task.cancel()
    else:
        room.calls.interrupt_all(lambda: reason)
    await asyncio.wait([task])
    return task.exception()


class TestStream:
    """The text as it is written."""

    async def test_events_go_on_and_the_last_has_the_cost(self) -> None:
        """Once it is paid."""
        room = TranscriptionRoom(HELLO, DONE)
        paid_before: list[int] = []
        room.sink.before_write = lambda _: paid_before.append(len(room.ledger.settlements))
        first, last = frames(await room.stream())
        assert first == {"type": "transcript.text.delta", "delta": "Hello"}
        assert last["text"] == "Hello world."
        assert last["usage"] == {"type": "duration", "seconds": 90.5, "cost": COST / 10**9}
        assert paid_before == [0, 1]
        await room.ended(COST, CallOutcome.COMPLETED)
        assert room.ledger.settlements[0].first_content_ms is not None
        assert room.facts.stream
        assert room.engine.asked[0][1].stream
        assert room.engine.reply.closed == 1

    async def test_an_engine_that_does_not_stream(self) -> None:
        """Is told as one delta."""
        room = TranscriptionRoom(REPLY[:5], REPLY[5:])
        first, last = frames(await room.stream())
        assert (first["delta"], last["text"]) == ("Hello world.", "Hello world.")
        await room.ended(COST, CallOutcome.COMPLETED)

    @pytest.mark.parametrize(
        "rest",
        [(), (UpstreamError(model="w"),), (event({"error": {"message": "canary"}}),), (b"data: nonsense\n\n",)],
        ids=["cut", "broken", "error", "nonsense"],
    )
    async def test_an_engine_that_fails_after_the_first_event(self, rest: tuple[Any, ...]) -> None:
        """An event of an error, no end, and nothing to pay; no other engine is asked."""
        second = FakeWriter(DONE, name="second")
        room = TranscriptionRoom(HELLO, *rest, others=[second])
        first, last = frames(await room.stream())
        assert first["delta"] == "Hello"
        assert last["error"]["code"] == "upstream_error"
        assert "canary" not in room.sink.text
        assert second.asked == []
        await room.ended(0, CallOutcome.CUT)
        assert room.facts.error == "upstream_error"

    async def test_the_next_engine_stands_in_before_that(self) -> None:
        """The caller sees one stream."""
        second = FakeWriter(HELLO, DONE, name="second")
        room = TranscriptionRoom(b": hi\n\n", others=[second])
        assert [frame["type"][16:] for frame in frames(await room.stream())] == ["delta", "done"]
        await room.ended(COST, CallOutcome.COMPLETED)
        assert room.ledger.settlements[0].engine == "second"

    async def test_a_drain_after_the_first_event(self) -> None:
        """Is told in the stream; nothing is paid."""
        room = TranscriptionRoom(HELLO, hangs=True)
        assert await stopped(room, TranscriptionRoom.stream, Draining(retry_after_s=2)) is None
        assert frames(room.sink.text)[-1]["error"]["code"] == "service_unavailable"
        await room.ended(0, CallOutcome.CUT)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("failure", [UpstreamError(model="w"), EngineRefusedRequest(model="w", where="")])
async def test_the_engine_refuses(run: Run, failure: ApiError) -> None:
    """As it said; the caller is told by a status."""
    room = TranscriptionRoom()
    room.engine.before_headers = failure
    with pytest.raises(type(failure)):
        await run(room)
    await room.ended(0, CallOutcome.FAILED)
    assert not room.sink.started


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    "steps", [(REPLY[:9],), (b"",), (b'{"error": {"message": "x"}}',), (b"[]",), (REPLY[:9], UpstreamError(model="w"))]
)
async def test_a_reply_that_cannot_be_used(run: Run, steps: tuple[Any, ...]) -> None:
    """Cut, empty, an error, of another shape."""
    room = TranscriptionRoom(*steps)
    with pytest.raises(UpstreamError):
        await run(room)
    await room.ended(0, CallOutcome.FAILED)
    assert room.engine.reply.closed == 1


async def test_a_reply_above_all_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a fault; a large one is read beside the loop."""
    monkeypatch.setattr(transcription_call, "LARGE_REPLY_BYTES", 10)
    assert (await TranscriptionRoom(REPLY).whole()).cost_nusd == COST
    monkeypatch.setattr(transcription_call, "MAX_REPLY_BYTES", 20)
    for run in RUNS:
        room = TranscriptionRoom(REPLY)
        with pytest.raises(UpstreamError):
            await run(room)
        await room.ended(0, CallOutcome.FAILED)


async def test_the_next_engine_stands_in() -> None:
    """One hold, one charge; the record names who answered."""
    second = FakeWriter(REPLY, name="second")
    room = TranscriptionRoom(b"nonsense", others=[second])
    assert (await room.whole()).cost_nusd == COST
    await room.ended(COST, CallOutcome.COMPLETED)
    assert len(room.ledger.asked) == len(room.sounds.asked) == 1
    assert (room.facts.attempts, [name for name, _ in room.facts.failures]) == (2, ["fake"])


@pytest.mark.parametrize("run", RUNS)
async def test_a_drain_and_a_deadline(run: Run) -> None:
    """Nothing is charged before the first content, wherever the engine was."""
    for reason in (Draining(retry_after_s=2), UpstreamTimeout(model="w")):
        room = TranscriptionRoom(b" ", hangs=True)
        assert await stopped(room, run, reason) is reason
        await room.ended(0, CallOutcome.FAILED)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("leave", [CallerLeft, lambda: None])
async def test_the_caller_leaves_before_the_headers(run: Run, leave: Callable[[], CallerLeft | None]) -> None:
    """The engine had not answered: nothing."""
    room = TranscriptionRoom(REPLY)
    room.engine.before_headers = room.hang
    assert isinstance(await stopped(room, run, leave()), CallerLeft)
    await room.ended(0, CallOutcome.ABANDONED)


@pytest.mark.parametrize(("run", "sent"), [(TranscriptionRoom.whole, REPLY[:9]), (TranscriptionRoom.stream, HELLO)])
async def test_the_caller_leaves_after_the_headers(run: Run, sent: bytes) -> None:
    """The engine had done the work: all of it; the upstream is let go."""
    room = TranscriptionRoom(sent, hangs=True)
    assert isinstance(await stopped(room, run, CallerLeft()), CallerLeft)
    await room.ended(COST, CallOutcome.ABANDONED)
    assert room.engine.reply.closed == 1


@pytest.mark.parametrize(("run", "sent"), [(TranscriptionRoom.whole, REPLY), (TranscriptionRoom.stream, HELLO + DONE)])
async def test_the_caller_leaves_while_the_charge_is_written(run: Run, sent: bytes) -> None:
    """It is written all the same."""
    room = TranscriptionRoom(sent)
    task = asyncio.ensure_future(run(room))
    while not room.engine.asked:
        await asyncio.sleep(0)
    room.ledger.paused = True
    while not room.ledger.settlements:
        await asyncio.sleep(0)
    room.calls.interrupt_all(CallerLeft)
    with pytest.raises(CallerLeft):
        await task
    room.ledger.paused = False
    await room.ended(COST, CallOutcome.COMPLETED)


async def test_a_caller_that_takes_nothing() -> None:
    """Its stream is cut, and it has paid."""
    room = TranscriptionRoom(HELLO, DONE)

    def blocked(_: bytes) -> asyncio.Future[None]:
        room.there.set()
        return asyncio.get_running_loop().create_future()

    room.sink.before_write = blocked
    assert isinstance(await stopped(room, TranscriptionRoom.stream, CallerLeft()), CallerLeft)
    await room.ended(COST, CallOutcome.ABANDONED)
