"""A call for embeddings that gives no reply costs nothing, unless its caller left once the work was done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from minitoolai.core.errors import ApiError, Draining, EngineRefusedRequest, UpstreamError, UpstreamTimeout
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome
from minitoolai.services import embedding_bounds, embedding_call
from tests.unit.services.embedding_room import TOKENS, EmbeddingRoom, FakeEmbedder, answer


async def stopped(room: EmbeddingRoom, reason: ApiError | CallerLeft | None) -> BaseException:
    """Stop the running call where it hangs; return what it ends with. Without a reason its task is just cancelled."""
    task = asyncio.create_task(room.embed())
    await room.there.wait()
    if reason is None:
        task.cancel()
    else:
        room.calls.interrupt_all(lambda: reason)
    with pytest.raises((ApiError, CallerLeft)) as caught:
        await task
    return caught.value


async def test_a_large_reply_is_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same result; one above all sense is a fault."""
    monkeypatch.setattr(embedding_call, "LARGE_REPLY_BYTES", 10)
    room = EmbeddingRoom(answer())
    assert (await room.embed()).cost_nusd == TOKENS
    monkeypatch.setattr(embedding_call, "MAX_REPLY_BYTES", 20)
    room = EmbeddingRoom(answer())
    with pytest.raises(UpstreamError):
        await room.embed()
    await room.ended(0, CallOutcome.FAILED)


@pytest.mark.parametrize("failure", [UpstreamError(model="e"), EngineRefusedRequest(model="e", where="")])
async def test_the_engine_refuses(failure: ApiError) -> None:
    """As it said."""
    room = EmbeddingRoom()
    room.engine.before_headers = failure
    with pytest.raises(type(failure)):
        await room.embed()
    await room.ended(0, CallOutcome.FAILED)


@pytest.mark.parametrize(
    "steps",
    [
        (answer()[:20],), (b"",), (answer([1.0]),), (answer([1.0], [1.0, 2.0]),), (b'{"error": {"message": "x"}}',),
        (answer()[:20], UpstreamError(model="e")),
    ],
)  # fmt: skip
async def test_a_reply_that_cannot_be_used(steps: tuple[bytes | Exception, ...]) -> None:
    """Cut, empty, of the wrong number or size."""
    room = EmbeddingRoom(*steps)
    with pytest.raises(UpstreamError):
        await room.embed()
    await room.ended(0, CallOutcome.FAILED)
    assert room.engine.reply.closed == 1


async def test_the_next_engine_stands_in() -> None:
    """One hold, one charge; the record names who answered."""
    second = FakeEmbedder(answer(), name="second")
    room = EmbeddingRoom(answer([1.0]), others=[second])
    assert (await room.embed()).cost_nusd == TOKENS
    await room.ended(TOKENS, CallOutcome.COMPLETED)
    assert len(room.ledger.asked) == 1
    assert room.ledger.settlements[0].engine == "second"
    assert (room.facts.attempts, [name for name, _ in room.facts.failures]) == (2, ["fake"])


async def test_a_refusal_is_the_same_everywhere() -> None:
    """No other engine is asked."""
    second = FakeEmbedder(answer(), name="second")
    room = EmbeddingRoom(others=[second])
    room.engine.before_headers = EngineRefusedRequest(model="e", where="")
    with pytest.raises(EngineRefusedRequest):
        await room.embed()
    assert second.asked == []


async def test_a_drain_and_a_deadline() -> None:
    """Nothing is charged, wherever the engine was."""
    for reason in (Draining(retry_after_s=2), UpstreamTimeout(model="e")):
        room = EmbeddingRoom(answer()[:20])
        room.engine.reply._steps.append(room.hang)
        assert await stopped(room, reason) is reason
        await room.ended(0, CallOutcome.FAILED)


@pytest.mark.parametrize("leave", [CallerLeft, lambda: None])
async def test_the_caller_leaves_before_the_headers(leave: Callable[[], CallerLeft | None]) -> None:
    """The engine had not answered: nothing."""
    room = EmbeddingRoom(answer())
    room.engine.before_headers = room.hang
    assert isinstance(await stopped(room, leave()), CallerLeft)
    await room.ended(0, CallOutcome.ABANDONED)


async def test_the_caller_leaves_after_the_headers() -> None:
    """The engine had done the work: its tokens, counted here; the upstream is let go."""
    room = EmbeddingRoom(answer()[:20])
    room.engine.reply._steps.append(room.hang)
    assert isinstance(await stopped(room, CallerLeft()), CallerLeft)
    await room.ended(TOKENS, CallOutcome.ABANDONED)
    assert room.engine.reply.closed == 1


async def test_what_a_caller_left_behind_is_counted_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen megabytes take half a second, in which nobody else would be answered; the upstream is let go before."""
    room = EmbeddingRoom(answer()[:20])
    room.engine.reply._steps.append(room.hang)
    counted: list[tuple[bool, int]] = []

    def count(text: str, _: str) -> int:
        counted.append((threading.current_thread() is threading.main_thread(), room.engine.reply.closed))
        return len(text.split())

    monkeypatch.setattr(embedding_bounds, "count_text", count)
    await stopped(room, CallerLeft())
    await room.ended(TOKENS, CallOutcome.ABANDONED)
    assert counted == [(False, 1), (False, 1)]


async def test_the_caller_leaves_while_the_charge_is_written() -> None:
    """It is written all the same."""
    room = EmbeddingRoom(answer())
    task = asyncio.create_task(room.embed())
    while not room.engine.asked:
        await asyncio.sleep(0)
    room.ledger.paused = True
    while not room.ledger.settlements:
        await asyncio.sleep(0)
    room.calls.interrupt_all(CallerLeft)
    with pytest.raises(CallerLeft):
        await task
    await room.ended(TOKENS, CallOutcome.COMPLETED)
