"""Pictures: what is refused, in the seed's shape, with the field at fault; nothing is held, no job is made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.samplers import SCHEDULERS
from minitoolai.core.signatures import job_signature
from tests.support.clients import Caller, Reply
from tests.support.fake_worker import MODELS, FakeWorker, fake_worker
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATE, JOBS, CANCEL = "/api/texttoimage/", "/api/texttoimage/jobs/", "/api/texttoimage/jobs/cancel/"
BODY: dict[str, Any] = {"model": "realvision", "prompt": "a red circle"}
#: What no field takes, by field.
BAD: dict[str, list[Any]] = {
    "model": [None, 1, "", [], "x" * 201],
    "prompt": [None, 1, "", ["a"], "x" * 4001, "ż" * 4001],
    "negativePrompt": [1, ["a"], "x" * 4001],
    "scheduler": ["", "euler", "DPM++ SDE ", "Euler A", 1, ["Euler"]],
    "steps": [0, 9, -1, 4.5, "4", True, [4], 10**30, 1e300],
    "cfgScale": [0.99, 7.01, -1, "2", True, [2], 0, 8],
    "width": [255, 1345, 0, -256, 512.5, "512", True, [512], 10**30],
    "height": [255, 1345, 0, -256, 512.5, "512", True, [512], 10**30],
    "seed": [-1, 2**32, 1.5, "7", True, 10**30],
    "webhook_url": [
        1,
        "",
        "https://a.example/" + "x" * 2048,
        "a.example",
        "ftp://a.example",
        "https://",
        "https://u:p@a.example/",
        "x",
    ],
}
#: What each field takes at its very bounds.
GOOD: dict[str, list[Any]] = {
    "prompt": ["x", "x" * 4000, "😀" * 4000, " "],
    "negativePrompt": [None, "", "x" * 4000],
    "scheduler": [None, *SCHEDULERS],
    "steps": [None, *range(1, 9), 8.0],
    "cfgScale": [None, 1, 7, 1.0, 7.0, 3.14],
    "width": [None, 256, 257, 1343, 1344, 1344.0],
    "height": [None, 256, 257, 1343, 1344, 1344.0],
    "seed": [None, 0, 2**32 - 1, 7.0],
    "webhook_url": [None, "https://a.example/told?x=1", "http://a.example:8080/"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that has two models of pictures."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


def refused(reply: Reply, status: int, code: str, *words: str, param: str | None = None) -> None:
    """The reply is that error, in the shape of a reply to a new job."""
    assert reply.status == status, (reply.status, reply.text)
    assert list(reply.json) == ["status", "jobid", "signature", "message", "error"]
    assert (reply.json["status"], reply.json["jobid"], reply.json["signature"]) == ("error", None, None)
    _same_error(reply, code, words, param)


def untold(reply: Reply, status: int, code: str, *words: str, param: str | None = None) -> None:
    """The reply is that error, in the shape of a reply about a job."""
    assert reply.status == status, (reply.status, reply.text)
    assert list(reply.json) == ["status", "image_url", "message", "error"]
    assert (reply.json["status"], reply.json["image_url"]) == ("error", None)
    _same_error(reply, code, words, param)


def _same_error(reply: Reply, code: str, words: tuple[str, ...], param: str | None) -> None:
    assert reply.error.keys() == {"message", "type", "param", "code"}
    assert (reply.error["code"], reply.error["param"]) == (code, param)
    assert reply.json["message"] == reply.error["message"]
    for word in words:
        assert word in reply.json["message"]
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.headers["content-type"] == "application/json"


async def nothing_held(gateway: LocalGateway, caller: Caller) -> None:
    """The caller has no job, nothing held, nothing paid."""
    (account,) = await gateway.books.fetch("SELECT held FROM accounts WHERE id = $1", caller.account_id)
    assert account["held"] == 0
    assert await gateway.books.fetch("SELECT 1 FROM jobs WHERE account_id = $1", caller.account_id) == []
    assert await gateway.books.records(caller) == []


@pytest.mark.parametrize("field", BAD)
async def test_each_bound_of_each_field_is_kept(gateway: LocalGateway, caller: Caller, field: str) -> None:
    """400 with the field's name; a message that says what it takes; nothing is held."""
    for value in BAD[field]:
        refused(await caller.send(CREATE, {**BODY, field: value}), 400, "invalid_value", f"'{field}'", param=field)
    await nothing_held(gateway, caller)


@pytest.mark.parametrize("field", GOOD)
async def test_each_field_takes_its_bounds(caller: Caller, waiting: FakeWorker, field: str) -> None:
    """The bounds themselves are inside; null is the default."""
    for value in GOOD[field]:
        reply = await caller.send(CREATE, {**BODY, field: value})
        assert (reply.status, reply.json["status"]) == (200, "success"), (value, reply.text)


async def test_what_is_missing_is_named(gateway: LocalGateway, caller: Caller) -> None:
    """The two fields that every call has."""
    for field in BODY:
        body = {name: value for name, value in BODY.items() if name != field}
        refused(await caller.send(CREATE, body), 400, "invalid_value", "required and missing", param=field)
    await nothing_held(gateway, caller)


async def test_bodies_that_are_none(gateway: LocalGateway, caller: Caller) -> None:
    """No JSON, no object, lone surrogates, nested too deep, of another type, too large."""
    for body in (b"", b"{", b"[]", b'"a"', b"\xff", b'{"prompt":"\\ud800","model":"realvision"}', b'{"a":' * 300):
        refused(await caller.send(CREATE, body), 400, "invalid_json", "JSON object")
    huge = await caller.send(CREATE, b'{"model":"realvision","prompt":"a","seed":1e400}')
    refused(huge, 400, "invalid_json", "valid JSON: Number out of range. Send")
    deep = b'{"model":"realvision","prompt":"a","x":' + b"[" * 250 + b"]" * 250 + b"}"
    refused(await caller.send(CREATE, deep), 400, "invalid_json", "nested")
    refused(await caller.send(CREATE, BODY, headers={"content-type": "text/plain"}), 415, "unsupported_media_type")
    refused(await caller.send(CREATE, b" " * (21 * 1024 * 1024)), 413, "request_too_large", "bytes")
    refused(await caller.send(CREATE, method="GET"), 405, "method_not_allowed", "Use POST")
    await nothing_held(gateway, caller)


async def test_keys_models_and_money(gateway: LocalGateway, caller: Caller) -> None:
    """401, 402 three times, 403, 404, 503 for a model that nobody serves: each says the remedy in words of pictures."""
    stranger = Caller(caller.base, "sk-wrong", "", 0, 0)
    refused(await stranger.send(CREATE, b"{"), 401, "invalid_api_key", "Authorization: Bearer sk-")
    poor = await gateway.caller("0.001")
    refused(
        await poor.send(CREATE, BODY), 402, "insufficient_credit", "costs 0.0015 USD and 0.001 USD are available", "Top up"
    )
    limited = await gateway.caller("5", limit_usd="0.001")
    refused(await limited.send(CREATE, BODY), 402, "insufficient_credit", "this key may still spend 0.001 USD")
    capped = await caller.send(CREATE, BODY, headers={"x-max-cost": "0.0014"})
    refused(capped, 402, "insufficient_credit", "0.0015 USD, more than the 0.0014 USD", param="x-max-cost")
    refused(await caller.send(CREATE, BODY, headers={"x-max-cost": "much"}), 400, "invalid_value", param="x-max-cost")
    narrow = await gateway.caller(models=["gpt-4o"])
    refused(await narrow.send(CREATE, BODY), 403, "permission_denied", "'realvision'", param="model")
    for model, status, code, words in (
        ("realvision2", 404, "model_not_found", "GET /v1/models"),
        ("gpt-4o", 400, "invalid_value", "chats. Use it in"),
        ("juggernaut", 503, "service_unavailable", "No engine serves"),
    ):
        refused(await caller.send(CREATE, {**BODY, "model": model}), status, code, words, param="model")
    for who in (caller, poor, limited, narrow):
        await nothing_held(gateway, who)


async def test_a_cap_that_is_the_price_is_enough(caller: Caller, waiting: FakeWorker) -> None:
    """So is an account's last money."""
    reply = await caller.send(CREATE, BODY, headers={"x-max-cost": "0.0015"})
    assert reply.status == 200


async def test_the_last_money_is_enough(gateway: LocalGateway, waiting: FakeWorker) -> None:
    """For one picture, and not for two."""
    poor = await gateway.caller("0.0015")
    assert (await poor.send(CREATE, BODY)).status == 200
    refused(await poor.send(CREATE, BODY), 402, "insufficient_credit", "0 USD are available")


async def test_sizes_that_a_model_does_not_draw(gateway: LocalGateway, caller: Caller, waiting: FakeWorker) -> None:
    """The message names those that it draws."""
    body = {**BODY, "model": "dreamshaper"}
    refused(await caller.send(CREATE, body), 400, "invalid_value", "draws 512x512, 1536x1024, not 1024x1024", param="width")
    await nothing_held(gateway, caller)
    assert (await caller.send(CREATE, {**body, "width": 512, "height": 512})).status == 200


async def test_a_key_out_of_requests(gateway: LocalGateway, waiting: FakeWorker) -> None:
    """429 with the key's minute and the time to wait."""
    caller = await gateway.caller(requests_per_minute=1)
    assert (await caller.send(CREATE, BODY)).status == 200
    reply = await caller.send(CREATE, BODY)
    refused(reply, 429, "rate_limit_exceeded", "1 requests a minute")
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    assert int(reply.headers["retry-after"]) >= 1


async def test_a_full_queue(file_database_url: str, upstream: Upstream, gateway: LocalGateway) -> None:
    """503 with the time to wait, of one account and in all; nothing more is held, and a place that is free is given."""
    limits = {"max_waiting_per_account": 2, "max_waiting": 3}
    async with (
        local_gateway(file_database_url, upstream.url, models=MODELS, jobs=limits) as small,
        fake_worker(small, waits=True) as worker,
    ):
        one, two = await small.caller(), await small.caller()
        for _ in range(2):
            assert (await one.send(CREATE, BODY)).status == 200
        reply = await one.send(CREATE, BODY, headers={"idempotency-key": "k"})
        refused(reply, 503, "service_unavailable", "of this account", "Nothing was charged")
        assert int(reply.headers["retry-after"]) >= 1
        assert (await two.send(CREATE, BODY)).status == 200
        reply = await two.send(CREATE, BODY)
        refused(reply, 503, "service_unavailable", "Too many jobs wait")
        assert "retry-after" in reply.headers
        (held,) = await small.books.fetch("SELECT held FROM accounts WHERE id = $1", two.account_id)
        assert held["held"] == 1_500_000
        await worker.take(1)
        assert (await one.send(CREATE, BODY, headers={"idempotency-key": "k"})).status == 200


async def test_while_the_server_stops(gateway: LocalGateway, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 in the shape of the route."""
    monkeypatch.setattr(gateway.inside.application, "draining", True)
    refused(await caller.send(CREATE, BODY), 503, "service_unavailable", "restarting")
    untold(await caller.send(JOBS, {}), 503, "service_unavailable", "restarting")


@pytest.mark.parametrize("path", [JOBS, CANCEL])
async def test_questions_that_are_none(caller: Caller, path: str) -> None:
    """About jobs: each in the shape of a reply about one, with the field at fault."""
    good = {"jobid": 1234567890, "signature": "x"}
    for field, value in (
        ("jobid", None), ("jobid", "12a"), ("jobid", ""), ("jobid", -1), ("jobid", 1.5), ("jobid", True), ("jobid", 2**60),
        ("jobid", "1" * 17), ("jobid", "1234567890\n"), ("jobid", [1]), ("signature", 5), ("signature", "x" * 201),
    ):  # fmt: skip
        untold(await caller.send(path, {**good, field: value}), 400, "invalid_value", f"'{field}'", param=field)
    untold(await caller.send(path, {"signature": "x"}), 400, "invalid_value", "missing", param="jobid")
    for body in (b"", b"[]", b"{"):
        untold(await caller.send(path, body), 400, "invalid_json")
    untold(await caller.send(path, good, headers={"content-type": "text/plain"}), 415, "unsupported_media_type")
    untold(await caller.send(path, b" " * 20_000), 413, "request_too_large", "16384 bytes")
    untold(await caller.send(path, method="GET"), 405, "method_not_allowed")
    untold(await caller.send(f"{path}x/y", good), 404, "not_found")


async def test_waits_that_are_none(caller: Caller) -> None:
    """0 to 60 seconds; and the signature cannot be left out."""
    good = {"jobid": 1234567890, "signature": "x"}
    for wait in (-1, 60.5, "5", True, [1]):
        untold(await caller.send(JOBS, {**good, "wait": wait}), 400, "invalid_value", "0 to 60", param="wait")
    untold(await caller.send(JOBS, {"jobid": 1234567890}), 400, "invalid_value", "missing", param="signature")


async def test_the_database_away(gateway: LocalGateway, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the time to wait, not 404: it is not known whether there is such a job."""

    async def away(_: object) -> Any:
        raise DatabaseUnavailable(retry_after_s=2)

    monkeypatch.setattr(gateway.inside.drawn.stored, "find", away)
    monkeypatch.setattr(gateway.inside.drawn.stored, "create", away)
    reply = await caller.send(JOBS, {"jobid": 10**9, "signature": job_signature(bytes(32), 10**9)})
    untold(reply, 503, "service_unavailable", "database")
    assert reply.headers["retry-after"] == "2"
    refused(await caller.send(CREATE, BODY), 503, "service_unavailable", "database")
