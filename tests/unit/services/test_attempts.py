"""The next engine is tried while no byte has reached the caller: one hold, one charge, one answer, whatever fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from minitoolai.core.errors import (
    ApiError,
    ContextLengthExceeded,
    Draining,
    EngineQuotaExhausted,
    EngineRefusedRequest,
    InvalidImageUrl,
    NoEngine,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.inference import ImageInput, Usage
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.sse import DONE, KEEP_ALIVE, event
from minitoolai.services.breaker import State
from tests.unit.services.room import (
    CONTENT,
    GOOD,
    MODEL,
    REPLY_WITH_USAGE,
    ROLE,
    USAGE_COST,
    WHOLE,
    Room,
    error_event,
    run,
    said,
    second,
)  # fmt: skip

#: Failures after which another engine may do better.
PASSING = [
    UpstreamError(model="m"), UpstreamTimeout(model="m"), RateLimited(model="m", retry_after_s=9),
    EngineQuotaExhausted(model="m", retry_after_s=60), ServiceUnavailable(retry_after_s=3), NoEngine(model="m"),
]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
class TestAnotherEngine:
    """What the first cannot, the second does."""

    @pytest.mark.parametrize("failure", PASSING, ids=lambda failure: type(failure).__name__)
    async def test_before_the_headers(self, failure: ApiError, *, streamed: bool) -> None:
        """Held once, charged once, under the name of the engine that answered."""
        room = Room(others=[second(*GOOD[streamed])])
        room.engine.before_headers = failure
        await run(room, streamed=streamed)
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)
        assert len(room.ledger.asked) == 1
        assert room.ledger.asked[0].engine == "fake"
        assert room.ledger.settlements[0].engine == "second"
        assert [engine.limits for engine in room.engines.values()] == [[100], [100]]

    @pytest.mark.parametrize(
        "steps",
        [
            [b""],
            [UpstreamError(model="m")],
            [b"data: <html>\n\n"],
            [event({"error": {"message": "x"}})],
            [b'{"choices": ['],
            [KEEP_ALIVE],
        ],
    )
    async def test_after_the_headers(self, steps: list[Any], *, streamed: bool) -> None:
        """A reply that breaks off before any frame of it has gone out."""
        room = Room(*steps, others=[second(*GOOD[streamed])])
        await run(room, streamed=streamed)
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)
        assert room.engine.reply.closed == 1
        if streamed:
            assert said(room) == "hello world"

    @pytest.mark.parametrize(
        "refusal",
        [EngineRefusedRequest(model="m", where=""), ContextLengthExceeded(model="m", prompt_tokens=2, context_tokens=1)],
        ids=lambda refusal: type(refusal).__name__,
    )
    async def test_what_is_refused_is_refused_everywhere(self, refusal: ApiError, *, streamed: bool) -> None:
        """Nobody else is asked."""
        room = Room(others=[second(*GOOD[streamed])])
        room.engine.before_headers = refusal
        with pytest.raises(type(refusal)):
            await run(room, streamed=streamed)
        assert room.engines["second"].limits == []
        await room.ended(0, CallOutcome.FAILED)

    async def test_all_of_three(self, *, streamed: bool) -> None:
        """In their order, each once; the caller is told the last failure."""
        room = Room(others=[second(name="b"), second(name="c")])
        failures = (UpstreamTimeout(model="m"), RateLimited(model="m"), UpstreamError(model="m"))
        for engine, failure in zip(room.engines.values(), failures, strict=True):
            engine.before_headers = failure
        with pytest.raises(UpstreamError):
            await run(room, streamed=streamed)
        assert [len(engine.limits) for engine in room.engines.values()] == [1, 1, 1]
        await room.ended(0, CallOutcome.FAILED)

    @pytest.mark.parametrize(
        ("waits", "kind", "shortest"),
        [
            ([RateLimited(model="m", retry_after_s=30), RateLimited(model="m", retry_after_s=4)], RateLimited, 4),
            ([RateLimited(model="m", retry_after_s=4), RateLimited(model="m", retry_after_s=30)], RateLimited, 4),
            ([EngineQuotaExhausted(model="m", retry_after_s=60)] * 2, EngineQuotaExhausted, 60),
            (
                [RateLimited(model="m", retry_after_s=4), EngineQuotaExhausted(model="m", retry_after_s=60)],
                RateLimited,
                4,
            ),
        ],
    )
    async def test_the_shortest_wait_is_told(
        self, waits: list[ApiError], kind: type[ApiError], shortest: int, *, streamed: bool
    ) -> None:
        """Where every engine asks for one: after it the call may succeed."""
        room = Room(others=[second()])
        for engine, failure in zip(room.engines.values(), waits, strict=True):
            engine.before_headers = failure
        with pytest.raises(kind) as caught:
            await run(room, streamed=streamed)
        assert caught.value.retry_after_s == shortest
        await room.ended(0, CallOutcome.FAILED)

    async def test_a_stop_of_the_server_is_no_reason_to_try_again(self, *, streamed: bool) -> None:
        """Nor a failure of the engine."""
        room = Room(others=[second(*GOOD[streamed])], breaker_failures=1)
        room.engine.before_headers = room.hang
        task = asyncio.create_task(run(room, streamed=streamed))
        await room.there.wait()
        room.calls.interrupt_all(Draining)
        with pytest.raises(Draining):
            await task
        assert room.engines["second"].limits == []
        assert room.router.states()["fake"] is State.CLOSED
        await room.ended(0, CallOutcome.FAILED)

    async def test_a_caller_that_leaves_while_the_second_is_asked_pays_nothing(self, *, streamed: bool) -> None:
        """The first had begun a reply; it is not the caller's."""
        room = Room(b"", others=[second()])
        room.engines["second"].before_headers = room.hang
        task = asyncio.create_task(run(room, streamed=streamed))
        await room.there.wait()
        task.cancel()
        with pytest.raises(CallerLeft):
            await task
        await room.ended(0, CallOutcome.ABANDONED)

    async def test_a_timeout_and_a_caller_that_leaves_at_once(self, *, streamed: bool) -> None:
        """In one turn of the loop: nobody is there for another engine to answer."""
        room = Room(others=[second(*GOOD[streamed])])
        room.engine.before_headers = room.hang
        task = asyncio.create_task(run(room, streamed=streamed))
        await room.there.wait()
        (call,) = room.calls._calls.values()
        call.interrupt(UpstreamTimeout(model="m"))
        task.cancel()
        with pytest.raises(CallerLeft):
            await task
        assert room.engines["second"].limits == []
        await room.ended(0, CallOutcome.ABANDONED)


class TestOneAnswer:
    """What the caller has begun to receive is never begun again."""

    @pytest.mark.parametrize("failure", [b"", UpstreamError(model="m"), event({"error": {"message": "x"}})])
    @pytest.mark.parametrize("first", [ROLE, CONTENT])
    async def test_after_the_first_frame(self, first: bytes, failure: Any) -> None:
        """Also one without content: an error event."""
        room = Room(first, failure, others=[second(*GOOD[True])])
        await room.stream()
        assert error_event(room.sink.text) == "upstream_error"
        assert room.engines["second"].limits == []
        assert len(room.ledger.settlements) == 1

    async def test_comment_lines_are_no_answer(self) -> None:
        """The gateway's own have started the reply; the second engine's frames follow."""
        room = Room(others=[second(*GOOD[True])])
        room.engine.before_headers = UpstreamError(model="m")
        await room.sink.write(KEEP_ALIVE)
        await room.stream()
        assert said(room) == "hello world"

    async def test_what_the_first_wrote_is_not_charged(self) -> None:
        """A whole reply that broke off after its usage is nothing: the second one's is."""
        room = Room(REPLY_WITH_USAGE[:-1], UpstreamError(model="m"), others=[second(REPLY_WITH_USAGE)])
        await room.whole()
        await room.ended(USAGE_COST, CallOutcome.COMPLETED)

    async def test_what_the_first_counted_is_not_charged(self) -> None:
        """An engine's own count is that of the engine that was called last."""
        room = Room(b"", counted=Usage(400, 90), others=[second(ROLE, CONTENT, DONE, counted=Usage(5, 6))])
        await room.stream()
        await room.ended(5 + 2 * 6, CallOutcome.COMPLETED)


class TestPictures:
    """An engine that fetches none itself gets them inside; pictures that cannot be had are no engine's failure."""

    SEEN = replace(WHOLE, images=(ImageInput("messages[0].content[0].image_url.url", "https://x/a.png", "auto"),))

    @pytest.fixture(autouse=True)
    def seeing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The model sees."""
        monkeypatch.setattr("tests.unit.services.room.MODEL", replace(MODEL, vision=True, image_rule="fixed:1"))

    async def test_fetched_once_for_all_engines(self) -> None:
        """And only when the first that needs it is asked."""
        room = Room(others=[second(name="b"), second(REPLY_WITH_USAGE, name="c")])
        for engine in room.engines.values():
            engine.fetches_images = engine.name == "fake"
        for name in ("fake", "b"):
            room.engines[name].before_headers = UpstreamError(model="m")
        await room.whole(self.SEEN)
        assert len(room.pictures.asked) == 1

    @pytest.mark.parametrize("failure", [InvalidImageUrl(param="x", why="no"), ServiceUnavailable()])
    async def test_pictures_that_cannot_be_had(self, failure: ApiError) -> None:
        """Once, whatever the number of engines; no breaker hears of it, and nothing is charged."""
        room = Room(others=[second(REPLY_WITH_USAGE)], breaker_failures=1)
        for engine in room.engines.values():
            engine.fetches_images = False
        room.pictures.failure = failure
        with pytest.raises(type(failure)):
            await room.whole(self.SEEN)
        assert len(room.pictures.asked) == 1
        assert set(room.router.states().values()) == {State.CLOSED}
        assert not any(breaker.is_busy(0.0) for breaker in room.router._breakers.values())
        await room.ended(0, CallOutcome.FAILED)
