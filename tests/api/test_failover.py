"""A model with several engines answers while one of them can: over real HTTP, before three upstreams."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from minitoolai.runtime.model_settings import ModelRoute, ModelSettings
from minitoolai.runtime.settings import OpenAIEngineSettings
from tests.api.conftest import Serving
from tests.support.clients import OPENAI, SEED, Caller, Reply, ends_in_band, shows, until
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Handler, Upstream, chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: 17 tokens read and 9 written, by the seed's prices of gpt-4o-mini.
COST = 17 * 150 + 9 * 600


@pytest_asyncio.fixture(loop_scope="module")
async def three(upstream: Upstream) -> AsyncIterator[dict[str, Upstream]]:
    """Upstreams by the names of their engines."""
    async with Upstream() as b, Upstream() as c:
        yield {"up": upstream, "b": b, "c": c}


@pytest.fixture
def gateway_of(serving: Serving, three: dict[str, Upstream]) -> Any:
    """Starts a gateway with the three engines: `async with gateway_of("up", "b") as gateway`, in the order given."""

    @contextlib.asynccontextmanager
    async def start(*order: str | ModelRoute, **settings: Any) -> AsyncIterator[LocalGateway]:
        more = {
            name: OpenAIEngineSettings(base_url=three[name].url, **{"breaker_failures": 0, **settings})
            for name in ("b", "c")
        }
        models = {"gpt-4o-mini": ModelSettings(engines=order), "gpt-4o": ModelSettings(engine="up")}
        async with serving(engine=settings, engines=more, models=models) as gateway:
            yield gateway

    return start


def answering(status: int, *, retry_after: str | None = None, code: str = "canary") -> Handler:
    """An upstream that refuses."""

    async def refuse(request: web.Request, asked: Asked) -> web.StreamResponse:
        headers = {"retry-after": retry_after} if retry_after else {}
        return web.json_response({"error": {"message": "canary", "code": code}}, status=status, headers=headers)

    return refuse


async def hanging(request: web.Request, asked: Asked) -> web.StreamResponse:
    """An upstream that never answers."""
    await asyncio.sleep(60)
    raise AssertionError("nobody waits so long")


async def closing(request: web.Request, asked: Asked) -> web.StreamResponse:
    """An upstream that closes the connection."""
    raise ConnectionResetError


async def charged_once(gateway: LocalGateway, caller: Caller, cost: int, engine: str) -> None:
    """One usage record, one hold, and the balance less the cost."""
    await gateway.settle()
    (record,) = await gateway.books.records(caller)
    assert (record["cost"], record["engine"]) == (cost, engine)
    assert await gateway.books.balance(caller) == 5 * 10**9 - cost
    assert await gateway.books.held() == 0


#: With how often the engine is asked in four calls: one that asks to wait is tried behind the other after that.
FAILING: list[tuple[Handler, int]] = [
    *((answering(status), 4) for status in (401, 403, 404, 500)), (closing, 4), (answering(429), 1), (answering(503), 1),
]  # fmt: skip


@pytest.mark.parametrize(("failing", "asked"), FAILING)
async def test_the_second_answers_when_the_first_cannot(
    gateway_of: Any, three: dict[str, Upstream], failing: Handler, asked: int
) -> None:
    """On both surfaces, whole and streamed; nothing of the first is seen or charged."""
    three["up"].handler = failing
    async with gateway_of("up", "b") as gateway:
        for path, streamed in ((OPENAI, False), (OPENAI, True), (SEED, False), (SEED, True)):
            caller = await gateway.caller()
            reply = await (caller.openai if path == OPENAI else caller.seed)(stream=streamed)
            assert reply.status == 200
            assert reply.content == "".join(three["b"].words)
            assert "canary" not in reply.text
            assert reply.done == streamed
            await charged_once(gateway, caller, COST, "b")
    assert (len(three["up"].asked), len(three["b"].asked)) == (asked, 4)


async def test_each_engine_has_its_own_name_for_the_model(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """Which the caller does not see."""
    three["up"].handler = answering(500)
    async with gateway_of("up", ModelRoute("b", upstream="llama-3.3-70b")) as gateway:
        assert (await (await gateway.caller()).openai()).status == 200
    assert three["up"].asked[0].body["model"] == "gpt-4o-mini"
    assert three["b"].asked[0].body["model"] == "llama-3.3-70b"


async def test_an_engine_that_does_not_answer_in_time(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """Each has its own time until its headers; the whole call does not take longer than its own."""
    three["up"].handler = hanging
    async with gateway_of("up", "b", first_byte_s=0.3) as gateway:
        caller = await gateway.caller()
        assert (await caller.openai()).status == 200
        await charged_once(gateway, caller, COST, "b")
    for name in ("up", "b", "c"):
        three[name].handler = hanging
        three[name].asked.clear()
    async with gateway_of("up", "b", "c", first_byte_s=60.0, total_s=0.5) as gateway:
        caller = await gateway.caller()
        shows(await caller.openai(), 504, "upstream_timeout", "server_error", "in time")
        await charged_once(gateway, caller, 0, "up")
    assert [len(three[name].asked) for name in ("up", "b", "c")] == [1, 0, 0]


async def test_all_at_their_limit_is_429_with_the_shortest_wait(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """Whichever engine told it; what is told is believed within bounds."""
    for waits, shown in ((("30", "7", "12"), "7"), (("3600", "50", "1e9"), "50")):
        for name, wait in zip(("up", "b", "c"), waits, strict=True):
            three[name].handler = answering(429, retry_after=wait)
        async with gateway_of("up", "b", "c") as gateway:
            caller = await gateway.caller()
            reply = await caller.openai()
            shows(reply, 429, "rate_limit_exceeded", "rate_limit_error", "'gpt-4o-mini'")
            assert reply.headers["retry-after"] == shown
            await charged_once(gateway, caller, 0, "c")


async def test_all_out_of_quota_is_503(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """It is the operator's affair, never the caller's 402."""
    for name in ("up", "b"):
        three[name].handler = answering(429, code="insufficient_quota")
    async with gateway_of("up", "b") as gateway:
        reply = await (await gateway.caller()).openai()
        shows(reply, 503, "service_unavailable", "server_error", "operator")
        assert reply.headers["retry-after"] == "60"


@pytest.mark.parametrize("status", [401, 403])
async def test_an_engine_that_refuses_our_credentials_is_never_the_callers_401(
    gateway_of: Any, three: dict[str, Upstream], status: int
) -> None:
    """With one engine or with all of them."""
    for name in ("up", "b"):
        three[name].handler = answering(status)
    async with gateway_of("up", "b") as gateway:
        shows(await (await gateway.caller()).openai(), 502, "upstream_error", "server_error")


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_one_engine_refuses_is_not_asked_of_another(
    gateway_of: Any, three: dict[str, Upstream], status: int
) -> None:
    """The caller is told at once."""
    three["up"].handler = answering(status)
    async with gateway_of("up", "b") as gateway:
        shows(await (await gateway.caller()).openai(), 400, "invalid_value", "invalid_request_error")
    assert three["b"].asked == []


async def test_after_the_first_frame_nothing_is_tried_again(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """The stream ends with an error event, and what was received is charged."""

    async def broken(request: web.Request, asked: Asked) -> web.StreamResponse:
        reply = await three["up"].begin(request)
        await reply.write(chunk({"role": "assistant", "content": ""}) + chunk({"content": "The largest"}))
        assert request.transport is not None
        request.transport.close()
        return reply

    three["up"].handler = broken
    async with gateway_of("up", "b") as gateway:
        caller = await gateway.caller()
        ends_in_band(await caller.openai(stream=True))
        await gateway.settle()
        (record,) = await gateway.books.records(caller)
        assert (record["engine"], record["outcome"], record["completion_tokens"]) == ("up", 2, 2)
    assert three["b"].asked == []


async def test_weights_share_the_calls(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """A weight of 0 only stands in."""
    order = (ModelRoute("up", weight=3), ModelRoute("b", weight=1), ModelRoute("c", weight=0))
    async with gateway_of(*order) as gateway:
        caller = await gateway.caller()
        replies = await asyncio.gather(*(caller.openai() for _ in range(80)))
        assert {reply.status for reply in replies} == {200}
        assert not three["c"].asked
        assert len(three["up"].asked) > len(three["b"].asked) > 5
        three["up"].handler = three["b"].handler = answering(500)
        assert (await caller.openai()).status == 200
        assert len(three["c"].asked) == 1
        await gateway.settle()
        records = Counter(record["engine"] for record in await gateway.books.records(caller))
        assert records["c"] == 1
        assert records.total() == 81


async def test_an_engine_that_keeps_failing_is_left_alone_and_comes_back(
    gateway_of: Any, three: dict[str, Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its pause one call probes it; the callers notice nothing as long as another engine answers."""
    monkeypatch.setattr("minitoolai.services.breaker.FIRST_PAUSE_S", 0.4)
    three["up"].handler = answering(500)
    async with gateway_of("up", "b", breaker_failures=3) as gateway:
        caller = await gateway.caller()
        for _ in range(8):
            assert (await caller.openai()).status == 200
        assert len(three["up"].asked) == 3
        lone = await caller.openai(model="gpt-4o")
        shows(lone, 503, "service_unavailable", "server_error", "'gpt-4o'", param="model")
        assert lone.headers["retry-after"] == "1"
        three["up"].handler = three["up"].answer
        await asyncio.sleep(0.45)
        for _ in range(2):
            assert (await caller.openai(model="gpt-4o")).status == 200
        assert len(three["up"].asked) == 5


async def test_one_probe_at_a_time_and_one_that_is_left_is_given_back(
    gateway_of: Any, three: dict[str, Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many calls after the pause one goes through; when its caller leaves the next one does."""
    monkeypatch.setattr("minitoolai.services.breaker.FIRST_PAUSE_S", 0.2)
    three["up"].handler = answering(500)
    async with gateway_of("up", breaker_failures=1) as gateway:
        caller = await gateway.caller()
        assert (await caller.openai()).status == 502
        three["up"].handler = hanging
        await asyncio.sleep(0.25)
        calls = [asyncio.create_task(caller.openai()) for _ in range(5)]
        done = await until(
            lambda: [call for call in calls if call.done()] if sum(c.done() for c in calls) == 4 else None, "4"
        )
        assert {call.result().status for call in done} == {503}
        (probe,) = set(calls) - set(done)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        three["up"].handler = three["up"].answer
        await gateway.settle()
        assert await gateway.books.held() == 0
        assert (await caller.openai()).status == 200


async def test_what_callers_do_opens_no_breaker(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """Requests that the engine refuses, callers that leave, a model that the engine does not have."""
    async with gateway_of("up", breaker_failures=2) as gateway:
        caller = await gateway.caller()
        three["up"].handler = answering(400)
        for _ in range(4):
            assert (await caller.openai()).status == 400
        three["up"].handler = hanging
        for _ in range(4):
            with pytest.raises(TimeoutError):
                await caller.send(OPENAI, {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}, timeout_s=0.2)
        three["up"].handler = answering(404)
        for _ in range(4):
            assert (await caller.openai()).status == 502
        three["up"].handler = three["up"].answer
        await gateway.settle()
        assert (await caller.openai()).status == 200


async def test_many_calls_while_the_first_engine_dies(gateway_of: Any, three: dict[str, Upstream]) -> None:
    """None is lost, none is charged twice, whenever it happens."""
    three["up"].pause_s = 0.02
    async with gateway_of("up", "b", breaker_failures=3) as gateway:
        caller = await gateway.caller()

        async def call(number: int) -> Reply:
            if number == 20:
                three["up"].handler = closing
            await asyncio.sleep(number * 0.005)
            reply: Reply = await caller.openai(stream=number % 2 == 0)
            return reply

        replies = await asyncio.gather(*(call(number) for number in range(60)))
        await gateway.settle()
        records = await gateway.books.records(caller)
    assert {reply.status for reply in replies} == {200}
    whole = [reply for reply in replies if reply.done or "event-stream" not in reply.headers["content-type"]]
    assert len(records) == 60
    assert sum(record["cost"] == COST for record in records) == len(whole)
