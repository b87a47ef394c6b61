"""The seed's pictures: a job is made, asked about, waited for, cancelled; what is charged, and what is told."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.api.picture_calls import BODY, CREATE, ask, charged, drawn, make, stranger
from tests.support.clients import Caller, until
from tests.support.fake_worker import MODELS, PRICE, FakeWorker
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.pictures import opened
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that has two models of pictures."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


# -- made, drawn, fetched ---------------------------------------------------------------------------------------


async def test_a_picture_is_made_drawn_and_fetched(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """The seed's exact replies at every step; the file has the asked size; charged once, when it is there."""
    reply = await caller.send(CREATE, BODY)
    made = reply.json
    assert reply.text == f'{{"status":"success","jobid":{made["jobid"]},"signature":"{made["signature"]}"}}'
    assert 10**9 <= made["jobid"] <= 2**53 - 1
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", made["signature"])
    assert reply.headers["content-type"] == "application/json"
    assert {"x-request-id", "x-ratelimit-remaining-requests"} <= reply.headers.keys()
    assert not {"x-minitoolai-ignored", "x-minitoolai-replayed"} & reply.headers.keys()
    shown = (await ask(caller, made)).json
    assert shown == {"status": "processing", "image_url": None, "message": "queued", "progress": 0.0, "position": 1}
    assert await gateway.books.balance(caller) == 5 * 10**9
    (job,) = await waiting.take()
    assert await waiting.queue.renew({(job.id, 1): 0.25}) == set()
    shown = (await ask(caller, made, jobid=str(made["jobid"]))).json
    assert shown == {"status": "processing", "image_url": None, "message": "running", "progress": 0.25, "position": 0}
    await waiting.end(job)
    shown = (await ask(caller, made)).json
    url = shown.pop("image_url")
    assert shown == {"status": "success", "message": "success", "seed": waiting.asked[0].seed, "cost": "0.0015"}
    assert list((await ask(caller, made)).json)[:3] == ["status", "image_url", "message"]
    assert re.fullmatch(rf"{gateway.base}/files/{made['jobid']}\.png\?e=\d+&s=[A-Za-z0-9_-]{{22}}", url)
    file = await stranger(caller).get(url.removeprefix(gateway.base))
    assert (file.status, file.headers["content-type"]) == (200, "image/png")
    assert opened(file.body).size == (1152, 768)
    await charged(gateway, caller, 1)
    (record,) = await gateway.books.records(caller)
    assert (record["images"], record["cost"], record["engine"], record["fees"]) == (1, PRICE, "up", PRICE)


async def test_what_is_asked_reaches_the_worker(caller: Caller, worker: FakeWorker) -> None:
    """Every field, and the seed's defaults where they are left out, null, or whole numbers with a point."""
    await drawn(caller, await make(caller, seed=7))
    asked = worker.asked.pop()
    assert (asked.prompt, asked.negative_prompt, asked.scheduler) == (
        BODY["prompt"], BODY["negativePrompt"], BODY["scheduler"],
    )  # fmt: skip
    assert (asked.steps, asked.cfg_scale, asked.width, asked.height, asked.seed) == (4, 2.0, 1152, 768, 7)
    for bare in (
        {"model": "vision", "prompt": "a"},
        {"model": "vision", "prompt": "a"} | dict.fromkeys(BODY.keys() - {"model", "prompt"}) | {"seed": None},
        {"model": "vision", "prompt": "a", "steps": 4.0, "cfgScale": 2, "width": 1024.0, "height": 1024.0},
    ):
        reply = await caller.send(CREATE, bare)
        assert (await drawn(caller, reply.json))["seed"] == worker.asked[-1].seed
        asked = worker.asked.pop()
        assert (asked.negative_prompt, asked.scheduler) == ("", "DPM++ SDE")
        assert (asked.steps, asked.cfg_scale, asked.width, asked.height) == (4, 2.0, 1024, 1024)


async def test_unknown_fields_are_named(caller: Caller, worker: FakeWorker) -> None:
    """They change nothing."""
    reply = await caller.send(CREATE, {**BODY, "sampler": "x", "cfg_scale": 9, "n": 4})
    assert reply.status == 200
    assert reply.headers["x-minitoolai-ignored"] == "cfg_scale, n, sampler"


async def test_seeds_are_drawn_and_told(caller: Caller, worker: FakeWorker) -> None:
    """Two pictures without a seed have two; each may be asked for again."""
    seeds = {(await drawn(caller, await make(caller)))["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert (await drawn(caller, await make(caller, seed=max(seeds))))["seed"] == max(seeds)


# -- waiting ----------------------------------------------------------------------------------------------------


async def test_a_question_waits_for_the_end(caller: Caller, waiting: FakeWorker) -> None:
    """It is answered as soon as the picture is there, long before its time is up."""
    made = await make(caller)
    began = time.monotonic()
    asking = asyncio.create_task(ask(caller, made, wait=50))
    await asyncio.sleep(0.2)
    assert not asking.done()
    waiting.go.set()
    assert (await asking).json["status"] == "success"
    assert time.monotonic() - began < 20


async def test_a_wait_ends_with_its_time(caller: Caller, waiting: FakeWorker) -> None:
    """The answer is how the job stands then; a wait of nothing does not wait."""
    made = await make(caller)
    for wait in (0.3, 0, None):
        assert (await ask(caller, made, wait=wait)).json["message"] == "queued"


async def test_a_stop_of_the_server_ends_waits(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """Who waits is told how the job stands."""
    made = await make(caller)
    asking = asyncio.create_task(ask(caller, made, wait=50))
    await until(lambda: gateway.inside.drawn.news._waiting, "the question waits")
    gateway.inside.drawn.news.wake()
    assert (await asking).json["message"] == "queued"


async def test_positions_count_those_before(caller: Caller, waiting: FakeWorker) -> None:
    """Of the engine's queue, itself included."""
    made = [await make(caller) for _ in range(3)]
    assert [(await ask(caller, each)).json["position"] for each in made] == [1, 2, 3]


# -- repeats ----------------------------------------------------------------------------------------------------


async def test_a_repeated_call_gets_the_same_job(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """While it waits, and once it is drawn; charged once. Another body is refused; a failed job frees the key."""
    headers = {"idempotency-key": "same"}
    first = await caller.send(CREATE, BODY, headers=headers)
    again = await caller.send(CREATE, BODY, headers=headers)
    assert again.body == first.body
    assert again.headers["x-minitoolai-replayed"] == "true"
    assert "x-minitoolai-replayed" not in first.headers
    waiting.go.set()
    await drawn(caller, first.json)
    assert (await caller.send(CREATE, BODY, headers=headers)).body == first.body
    reply = await caller.send(CREATE, {**BODY, "steps": 5}, headers=headers)
    assert (reply.status, reply.error["code"]) == (422, "idempotency_mismatch")
    await charged(gateway, caller, 1)
    waiting.failure = "no"
    failed = await caller.send(CREATE, BODY, headers={"idempotency-key": "other"})
    assert (await ask(caller, failed.json, wait=20)).json["status"] == "error"
    assert (await caller.send(CREATE, BODY, headers={"idempotency-key": "other"})).json["jobid"] != failed.json["jobid"]
