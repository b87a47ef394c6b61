"""OpenAI's pictures over the seed's jobs: waited for, by link or in base64; what is charged, refused and broken off."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.api.image_calls import BODY, charged, draw, jobs
from tests.support.clients import Caller, shows
from tests.support.fake_worker import MODELS, FakeWorker
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.pictures import opened
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD: list[tuple[str, Any, str]] = [
    ("prompt", "", "1 to 4000"),
    ("prompt", "x" * 4001, "1 to 4000"),
    ("model", None, "GET /v1/models"),
    ("n", 0, "1 to 10"),
    ("n", 11, "1 to 10"),
    ("n", "2", "1 to 10"),
    ("size", "1024", "like"),
    ("size", "1024 x 1024", "of another form. Send"),
    ("size", "1024x1024\n", "like"),
    ("size", "auto\n", "like"),
    ("size", "255x1024", "256 to 1344"),
    ("size", "1024x1345", "256 to 1344"),
    ("size", 1024, "like"),
    ("response_format", "png", '"b64_json"'),
    ("output_format", "jpeg", "PNG"),
    ("stream", True, "not streamed"),
    ("stream", 0, "not streamed"),
    ("partial_images", 1, "not streamed"),
    ("scheduler", "euler", "Euler a"),
    ("steps", 9, "1 to 8"),
    ("cfg_scale", 7.5, "1 to 7"),
    ("cfgScale", 0.5, "1 to 7"),
    ("negative_prompt", "x" * 4001, "4000"),
    ("seed", 2**32, "4294967295"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that has two models of pictures."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


async def test_pictures_come_by_link(gateway: LocalGateway, caller: Caller, worker: FakeWorker) -> None:
    """As many as are asked, each with the next seed; cost and balance beside them."""
    began = int(time.time())
    reply = await draw(caller, n=3, size="320x256", seed=2**32 - 2)
    assert reply.status == 200, reply.text
    assert list(reply.json) == ["created", "data", "usage"]
    assert began <= reply.json["created"] <= time.time()
    assert [each["seed"] for each in reply.json["data"]] == [2**32 - 2, 2**32 - 1, 0]
    for each in reply.json["data"]:
        assert each.keys() == {"url", "seed"}
        file = await Caller(caller.base, "", "", 0, 0).get(each["url"].removeprefix(gateway.base))
        assert opened(file.body).size == (320, 256)
    assert reply.json["usage"]["cost"] == 0.0045
    assert reply.json["usage"]["total_tokens"] == 0
    assert reply.headers["x-minitoolai-cost"] == "0.0045"
    assert reply.headers["x-minitoolai-balance"] == "4.9955"
    assert {"x-request-id", "x-ratelimit-remaining-requests"} <= reply.headers.keys()
    await charged(gateway, caller, 3)
    first = (await gateway.books.records(caller))[0]
    assert reply.headers["x-request-id"] == f"req_{first['id'].hex}"


async def test_pictures_come_in_base64(caller: Caller, worker: FakeWorker) -> None:
    """The file's own bytes."""
    worker.colors[7] = (255, 0, 0)
    reply = await draw(caller, response_format="b64_json", size="256x256", seed=7)
    (only,) = reply.json["data"]
    assert only.keys() == {"b64_json", "seed"}
    image = opened(base64.b64decode(only["b64_json"], validate=True))
    assert (image.size, image.getpixel((100, 100))) == ((256, 256), (255, 0, 0))


async def test_what_is_asked_reaches_the_worker(caller: Caller, worker: FakeWorker) -> None:
    """OpenAI's fields, the seed's in both spellings, and the defaults."""
    await draw(caller, negative_prompt="blue", scheduler="Euler a", steps=8, cfg_scale=7, seed=1, size="257x1343")
    await draw(caller, negativePrompt="blue", scheduler="Euler a", steps=8.0, cfgScale=7.0, seed=1, size="257x1343")
    await draw(caller, size="auto", n=1, user="u", quality="hd", style="vivid", background="auto", stream=False)
    await draw(caller, size=None, n=None, response_format=None, output_format="png", partial_images=0)
    one, same, auto, default = worker.asked
    assert one == same
    assert (one.negative_prompt, one.scheduler, one.steps, one.cfg_scale, one.seed) == ("blue", "Euler a", 8, 7.0, 1)
    assert (one.width, one.height) == (257, 1343)
    for asked in (auto, default):
        assert (asked.width, asked.height, asked.scheduler, asked.steps, asked.cfg_scale) == (
            1024, 1024, "DPM++ SDE", 4, 2.0,
        )  # fmt: skip


async def test_fields_without_effect_are_named(caller: Caller, worker: FakeWorker) -> None:
    """Those of OpenAI's that change nothing here; not those that are null or what is done anyway."""
    reply = await draw(caller, quality="hd", style=None, user="u", moderation="low", output_format="png", stream=False, n=1)
    assert reply.headers["x-minitoolai-ignored"] == "moderation, quality, user"
    reply = await draw(caller)
    assert "x-minitoolai-ignored" not in reply.headers


async def test_a_model_that_draws_some_sizes(caller: Caller, worker: FakeWorker) -> None:
    """Its first where none is asked; larger ones than others draw; any other is refused by name."""
    for asked, size in (("auto", (512, 512)), ("1536x1024", (1536, 1024)), (None, (512, 512))):
        assert (await draw(caller, model="dreamshaper", size=asked)).status == 200
        drawn = worker.asked.pop()
        assert (drawn.width, drawn.height) == size
    reply = await draw(caller, model="dreamshaper", size="1024x1024")
    shows(reply, 400, "invalid_value", "invalid_request_error", "draws 512x512, 1536x1024", param="size")


@pytest.mark.parametrize(("field", "value", "words"), BAD, ids=[f"{field} {value!s:.10}" for field, value, _ in BAD])
async def test_bounds_are_kept(gateway: LocalGateway, caller: Caller, field: str, value: Any, words: str) -> None:
    """400 in OpenAI's shape with the field at fault; no job is made."""
    shows(await draw(caller, **{field: value}), 400, "invalid_value", "invalid_request_error", words, param=field)
    assert await jobs(gateway, caller) == []


async def test_one_field_under_two_names(caller: Caller, worker: FakeWorker) -> None:
    """Refused where they differ."""
    assert (await draw(caller, cfgScale=3, cfg_scale=3)).status == 200
    for one, other, values in (("cfg_scale", "cfgScale", (2, 3)), ("negative_prompt", "negativePrompt", ("a", "b"))):
        reply = await draw(caller, **dict[str, Any]({one: values[0], other: values[1]}))
        shows(reply, 400, "invalid_value", "invalid_request_error", "Send one of them", param=other)


async def test_other_refusals(gateway: LocalGateway, caller: Caller) -> None:
    """Of the key, the money, the cap for all pictures together, the model."""
    shows(await draw(Caller(caller.base, "sk-no", "", 0, 0)), 401, "invalid_api_key", "authentication_error")
    capped = await draw(caller, {"x-max-cost": "0.0029"}, n=2)
    shows(
        capped, 402, "insufficient_credit", "insufficient_quota", "0.003 USD, more than the 0.0029 USD", param="x-max-cost"
    )
    shows(
        await draw(caller, model="gpt-4o"), 400, "invalid_value", "invalid_request_error", "chats. Use it in", param="model"
    )
    shows(await draw(caller, model="x"), 404, "model_not_found", "invalid_request_error", param="model")
    shows(await draw(caller, model="juggernaut"), 503, "service_unavailable", "server_error", param="model")
    assert await jobs(gateway, caller) == []


async def test_quotes(gateway: LocalGateway, caller: Caller) -> None:
    """Of both kinds of body: pictures times the price, exactly what is charged; bad bodies are refused as in the call."""
    for body, count in ((BODY, 1), ({**BODY, "n": 3}, 3), ({**BODY, "size": "512x512"}, 1), ({**BODY, "width": 512}, 1)):
        reply = await caller.send("/v1/quotes", body)
        cost = {1: "0.0015", 3: "0.0045"}[count]
        assert reply.json == {
            "object": "quote", "model": "realvision", "max_cost": cost, "max_completion_tokens": None,
            "lines": [{"what": "images", "count": count, "usd_per_1m": None, "cost": cost}],
        }  # fmt: skip
    shows(
        await caller.send("/v1/quotes", {**BODY, "steps": 9}), 400, "invalid_value", "invalid_request_error", param="steps"
    )
    shows(await caller.send("/v1/quotes", {**BODY, "n": 11}), 400, "invalid_value", "invalid_request_error", param="n")
    assert await jobs(gateway, caller) == []


async def test_the_usage_report_counts_images(gateway: LocalGateway, caller: Caller, worker: FakeWorker) -> None:
    """In each record, in sums, and as CSV."""
    await draw(caller, n=2)
    calls = (await caller.get("/v1/usage")).json["data"]
    assert [(call["images"], call["fees"], call["cost"]) for call in calls] == [(1, "0.0015", "0.0015")] * 2
    (row,) = (await caller.get("/v1/usage?group_by=model")).json["data"]
    assert (row["model"], row["calls"], row["images"], row["cost"]) == ("realvision", 2, 2, "0.003")
    text = (await caller.get("/v1/usage?group_by=model&format=csv")).text
    names, row = (line.split(",") for line in text.splitlines())
    shown = dict(zip(names, row, strict=True))
    assert (shown["model"], shown["calls"], shown["images"], shown["cost"]) == ("realvision", "2", "2", "0.003")
    assert (shown["characters"], shown["audio_seconds"]) == ("0", "0.0")
