"""The seed's pictures: jobs that fail, are cancelled or are not there; where their links lead, and which pages may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from minitoolai.core.signatures import job_signature
from tests.api.picture_calls import BODY, CANCEL, CREATE, JOBS, NOT_FOUND, ask, charged, drawn, make, stranger
from tests.support.clients import Caller
from tests.support.fake_worker import MODELS, FakeWorker
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that has two models of pictures."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


# -- failed, cancelled, not found -------------------------------------------------------------------------------


async def test_a_failed_job_says_why_and_costs_nothing(gateway: LocalGateway, caller: Caller, worker: FakeWorker) -> None:
    """With status 200: the question was answered."""
    worker.failure = "The engine failed three times. Nothing was charged; send it again."
    reply = await ask(caller, await make(caller), wait=20)
    assert (reply.status, reply.json) == (200, {"status": "error", "image_url": None, "message": worker.failure})
    await charged(gateway, caller, 0)


async def test_a_job_is_cancelled_by_its_signature(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """Waiting or running, without a key; it stays so, and whoever draws it cannot end it."""
    for running in (False, True):
        made = await make(caller)
        jobs = await waiting.take() if running else []
        for _ in range(2):
            reply = await stranger(caller).send(CANCEL, {"jobid": made["jobid"], "signature": made["signature"]})
            assert reply.status == 200
            assert reply.json["status"] == "error"
            assert reply.json["message"] == "It was cancelled. Nothing was charged."
        for job in jobs:
            await waiting.end(job)
        assert (await ask(caller, made)).json == reply.json
    await charged(gateway, caller, 0)


async def test_a_job_is_cancelled_by_a_key_of_its_account(
    gateway: LocalGateway, caller: Caller, waiting: FakeWorker
) -> None:
    """Nobody else's key does it, and no key is 401."""
    made = await make(caller)
    other = await gateway.caller()
    reply = await other.send(CANCEL, {"jobid": made["jobid"]})
    assert (reply.status, reply.json) == (404, NOT_FOUND)
    reply = await stranger(caller).send(CANCEL, {"jobid": made["jobid"]})
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert reply.json["image_url"] is None
    reply = await caller.send(CANCEL, {"jobid": str(made["jobid"])})
    assert reply.json["message"].startswith("It was cancelled")
    assert (await caller.send(CANCEL, {"jobid": 10**9})).json == NOT_FOUND


async def test_a_picture_that_is_there_is_not_cancelled(gateway: LocalGateway, caller: Caller, worker: FakeWorker) -> None:
    """The reply is how it stands."""
    made = await make(caller)
    await drawn(caller, made)
    assert (await caller.send(CANCEL, {"jobid": made["jobid"]})).json["status"] == "success"
    await charged(gateway, caller, 1)


async def test_wrong_ids_and_signatures_look_the_same(
    gateway: LocalGateway, caller: Caller, waiting: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One body, one status, nothing looked up; a job that is gone is the same to the holder of its signature."""
    made, other = await make(caller), await make(caller)
    gone = 10**9 + 5
    looked: list[int] = []
    find = gateway.inside.drawn.stored.find

    async def spied(job_id: int) -> Any:
        looked.append(job_id)
        return await find(job_id)

    monkeypatch.setattr(gateway.inside.drawn.stored, "find", spied)
    for job_id, signature in (
        (made["jobid"], other["signature"]), (made["jobid"], ""), (made["jobid"], made["signature"][:-1]),
        (made["jobid"], "ż" * 22), (gone, made["signature"]), (0, "x"), (2**53 - 1, "x" * 200),
    ):  # fmt: skip
        for path in (JOBS, CANCEL):
            reply = await stranger(caller).send(path, {"jobid": job_id, "signature": signature, "wait": 60})
            assert (reply.status, reply.json) == (404, NOT_FOUND)
            assert reply.text == '{"status":"error","image_url":null,"message":"job not found"}'
    assert looked == []
    reply = await ask(caller, {"jobid": gone, "signature": job_signature(bytes(32), gone)})
    assert (reply.status, reply.json, looked) == (404, NOT_FOUND, [gone])


async def test_a_key_sent_with_a_question_is_ignored(caller: Caller, waiting: FakeWorker) -> None:
    """Even one that is none."""
    made = await make(caller)
    for headers in ({"authorization": "Bearer sk-wrong"}, {"authorization": "Basic x"}, {"x-api-key": "no"}):
        reply = await caller.send(JOBS, {"jobid": made["jobid"], "signature": made["signature"]}, headers=headers)
        assert reply.json["message"] == "queued"


# -- links ------------------------------------------------------------------------------------------------------


async def test_links_begin_where_the_caller_found_the_server(
    gateway: LocalGateway, caller: Caller, worker: FakeWorker
) -> None:
    """By its Host header; what a stranger says of proxies is not believed."""
    made = await make(caller)
    await drawn(caller, made)
    reply = await caller.send(
        JOBS, {"jobid": made["jobid"], "signature": made["signature"]},
        headers={"host": "ai.example.com:81", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"},
    )  # fmt: skip
    assert reply.json["image_url"].startswith("http://ai.example.com:81/files/")


async def test_links_begin_with_the_public_url_or_what_a_proxy_says(
    file_database_url: str, upstream: Upstream, caller: Caller, gateway: LocalGateway, worker: FakeWorker
) -> None:
    """Where the operator set one; else a trusted proxy is believed."""
    made = await make(caller)
    await drawn(caller, made)
    for server, begins in (
        ({"public_url": "https://ai.example.com/"}, "https://ai.example.com/files/"),
        ({"trusted_proxies": ("127.0.0.1",)}, "https://shop.example/files/"),
    ):
        async with local_gateway(file_database_url, upstream.url, models=MODELS, server=server) as other:
            there = Caller(other.base, caller.key, "", 0, 0)
            reply = await there.send(
                JOBS, {"jobid": made["jobid"], "signature": made["signature"]},
                headers={"x-forwarded-host": "shop.example", "x-forwarded-proto": "https"},
            )  # fmt: skip
            assert reply.json["image_url"].startswith(begins)


# -- pages ------------------------------------------------------------------------------------------------------


async def test_pages_of_any_origin_may_ask(caller: Caller, waiting: FakeWorker) -> None:
    """About a job, not for a picture: that takes a key."""
    made = await make(caller)
    body, origin = {"jobid": made["jobid"], "signature": made["signature"]}, {"origin": "https://page.example"}
    reply = await stranger(caller).send(JOBS, body, headers=origin)
    assert reply.headers["access-control-allow-origin"] == "*"
    reply = await stranger(caller).send(JOBS, {**body, "signature": ""}, headers=origin)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (404, "*")
    assert "access-control-allow-origin" not in (await caller.send(CREATE, BODY, headers=origin)).headers
