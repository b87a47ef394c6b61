"""OpenAI's pictures: calls that end early, in part, or come again; what is charged and what is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from minitoolai.core.errors import Draining
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services import drawing
from tests.api.image_calls import BODY, PATH, all_wait, charged, draw, jobs
from tests.support.clients import Caller, exchange_bytes, shows, until
from tests.support.fake_worker import MODELS, FakeWorker
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that has two models of pictures."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


async def test_too_little_money_for_all(gateway: LocalGateway, waiting: FakeWorker) -> None:
    """None is drawn: what was made before the money ran out is cancelled before the caller is told."""
    caller = await gateway.caller("0.004")
    shows(
        await draw(caller, n=3),
        402,
        "insufficient_credit",
        "insufficient_quota",
        "These 3 pictures cost 0.0045 USD and 0.004 USD",
    )
    assert await jobs(gateway, caller) == ["cancelled", "cancelled"]
    assert await gateway.books.balance(caller) == 4_000_000


async def test_more_pictures_than_the_key_may_make_requests(gateway: LocalGateway, waiting: FakeWorker) -> None:
    """400 and no "wait", which would never help; a count that fits but for the minute's other calls is 429."""
    caller = await gateway.caller(requests_per_minute=2)
    refused = await draw(caller, n=3)
    shows(refused, 400, "invalid_value", "invalid_request_error", "2 requests a minute", param="n")
    assert await jobs(gateway, caller) == ["cancelled", "cancelled"]
    shows(await draw(caller, n=2), 429, "rate_limit_exceeded", "rate_limit_error", "2 requests")
    await charged(gateway, caller, 0)


async def test_none_is_drawn(gateway: LocalGateway, caller: Caller, worker: FakeWorker) -> None:
    """502 with the reason; nothing is charged."""
    worker.failure = "The engine failed three times. Nothing was charged; send it again."
    shows(await draw(caller, n=2), 502, "upstream_error", "server_error", worker.failure)
    await charged(gateway, caller, 0)


async def test_some_are_drawn(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """They are given, and charged; the others are not."""
    calling = asyncio.create_task(draw(caller, n=3, seed=10))
    await until(lambda: all_wait(gateway, caller, 3), "three jobs")
    first, second, third = await waiting.take()
    await waiting.end(first)
    await waiting.end(third)
    waiting.failure = "no"
    await waiting.end(second)
    reply = await calling
    assert [each["seed"] for each in reply.json["data"]] == [10, 12]
    assert reply.headers["x-minitoolai-cost"] == "0.003"
    await charged(gateway, caller, 2)


async def test_the_caller_leaves(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """Its jobs are cancelled, waiting and running; what was drawn by then is charged."""
    raw = caller.request(PATH, {**BODY, "n": 3})
    leaving = asyncio.create_task(exchange_bytes(gateway.port, raw))
    await until(lambda: all_wait(gateway, caller, 3), "three jobs")
    one, running = await waiting.take(2)
    await waiting.end(one)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    async def all_ended() -> bool:
        return await jobs(gateway, caller) == ["succeeded", "cancelled", "cancelled"]

    await until(all_ended, "the jobs are cancelled")
    assert await waiting.queue.renew({(running.id, running.attempt): 0.5}) == {running.id}
    await gateway.settle()
    await charged(gateway, caller, 1)


async def test_the_time_is_up(
    gateway: LocalGateway, caller: Caller, waiting: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504 where nothing is there, else what is; all else is cancelled before the caller is told."""
    monkeypatch.setattr(drawing, "DEADLINE_S", 0.5)
    shows(await draw(caller, n=2), 504, "upstream_timeout", "server_error", "did not answer in time")
    assert await jobs(gateway, caller) == ["cancelled", "cancelled"]
    await charged(gateway, caller, 0)
    calling = asyncio.create_task(draw(caller, n=2))
    await until(lambda: all_wait(gateway, caller, 2), "two jobs")
    (job,) = await waiting.take(1)
    await waiting.end(job)
    reply = await calling
    assert (reply.status, len(reply.json["data"])) == (200, 1)
    await charged(gateway, caller, 1)


async def test_the_server_stops(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """What waits is cancelled, and the caller is told to come again."""
    calling = asyncio.create_task(draw(caller))
    await until(lambda: all_wait(gateway, caller, 1), "a job")
    gateway.inside.calls.interrupt_all(lambda: Draining(retry_after_s=2))
    shows(await calling, 503, "service_unavailable", "server_error", "restarting")
    await charged(gateway, caller, 0)


async def test_a_repeated_call_gets_the_same_pictures(gateway: LocalGateway, caller: Caller, worker: FakeWorker) -> None:
    """Each charged once; one that had failed is drawn anew; also in the other form, which is another body."""
    key = {"idempotency-key": "same"}
    first, again = await draw(caller, key, n=2), await draw(caller, key, n=2)
    assert again.json["data"] == first.json["data"]
    assert again.json["usage"]["cost"] == 0.003
    assert again.headers["x-minitoolai-replayed"] == "true"
    assert "x-minitoolai-balance" not in again.headers
    assert "x-minitoolai-replayed" not in first.headers
    await charged(gateway, caller, 2)
    shows(await draw(caller, key, n=3), 422, "idempotency_mismatch", "invalid_request_error", param="idempotency-key")


async def test_a_repeat_draws_what_had_failed(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """And gives what is there again."""
    key = {"idempotency-key": "half"}
    calling = asyncio.create_task(draw(caller, key, n=2, seed=1))
    await until(lambda: all_wait(gateway, caller, 2), "two jobs")
    first, second = await waiting.take()
    await waiting.end(first)
    waiting.failure = "no"
    await waiting.end(second)
    assert len((await calling).json["data"]) == 1
    waiting.failure = None
    waiting.go.set()
    reply = await draw(caller, key, n=2, seed=1)
    assert [each["seed"] for each in reply.json["data"]] == [1, 2]
    assert "x-minitoolai-replayed" not in reply.headers
    await charged(gateway, caller, 2)


async def test_two_calls_at_once_are_one(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """The second waits for the first one's picture; when it leaves, the job goes on."""
    key = {"idempotency-key": "twice"}
    one = asyncio.create_task(draw(caller, key))
    await until(lambda: all_wait(gateway, caller, 1), "a job")
    leaving = asyncio.create_task(exchange_bytes(gateway.port, caller.request(PATH, BODY, "idempotency-key: twice")))
    two = asyncio.create_task(draw(caller, key))
    await until(lambda: len(gateway.inside.calls) >= 2, "both wait")
    leaving.cancel()
    waiting.go.set()
    assert (await one).json["data"] == (await two).json["data"]
    await charged(gateway, caller, 1)


async def test_the_store_of_files_away(
    gateway: LocalGateway, caller: Caller, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 for base64; the pictures are there, and a repeat with the same Idempotency-Key gives them."""
    key = {"idempotency-key": "store"}

    async def away(_: str) -> bytes:
        raise StorageUnavailable(retry_after_s=3)

    with monkeypatch.context() as patch:
        patch.setattr(gateway.inside.drawn.blobs, "get", away)
        shows(await draw(caller, key, response_format="b64_json"), 503, "service_unavailable", "server_error", "store")
    assert (await draw(caller, key, response_format="b64_json")).json["data"][0]["b64_json"]
    await charged(gateway, caller, 1)
