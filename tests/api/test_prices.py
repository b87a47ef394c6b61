"""`GET /v1/prices` and `GET /v1/models`: what there is and what it costs, as the settings say it."""

from __future__ import annotations

import pytest

from minitoolai.runtime.model_settings import ModelSettings, TierSettings
from tests.api.conftest import Serving
from tests.support.clients import Caller, shows
from tests.support.local_gateway import LocalGateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRICED = ModelSettings(
    engine="up",
    input_usd_per_1m="2",
    output_usd_per_1m="8.5",
    cached_input_usd_per_1m="0.5",
    service_tiers={"flex": TierSettings(input_usd_per_1m="1", output_usd_per_1m="4.25", cached_input_usd_per_1m="0.25")},
    web_search_usd_per_call="0.01",
    vision=True,
    aliases=("org/alias",),
    context_tokens=1000,
    max_completion_tokens=500,
)


async def test_anyone_sees_the_prices_of_the_models_served(caller: Caller) -> None:
    """Without a key; the models without an engine are left out."""
    reply = await caller.send("/v1/prices", method="GET", headers={"authorization": ""})
    assert reply.status == 200
    assert (reply.json["object"], reply.json["currency"]) == ("list", "USD")
    first, second = reply.json["data"]
    assert first == {
        "id": "gpt-4o-mini", "object": "price", "type": "chat", "aliases": ["gpt-4o-mini-2024-07-18"], "starter": False,
        "input_usd_per_1m": "0.15", "cached_input_usd_per_1m": "0.15", "output_usd_per_1m": "0.6", "usd_per_image": None,
        "usd_per_1m_characters": None, "usd_per_minute": None,
        "service_tiers": {}, "web_search_usd_per_call": None, "vision": True, "context_tokens": 128_000,
        "max_completion_tokens": 16_384,
    }  # fmt: skip
    assert second["id"] == "gpt-4o"


async def test_every_price_of_a_model_is_shown(serving: Serving) -> None:
    """Cached input, tiers, the fee of a search."""
    async with serving(models={"org/model": PRICED}) as gateway:
        caller = await gateway.caller()
        shown = next(model for model in (await caller.get("/v1/prices/")).json["data"] if model["id"] == "org/model")
    assert shown == {
        "id": "org/model", "object": "price", "type": "chat", "aliases": ["org/alias"], "starter": False,
        "input_usd_per_1m": "2", "cached_input_usd_per_1m": "0.5", "output_usd_per_1m": "8.5",
        "usd_per_image": None, "usd_per_1m_characters": None, "usd_per_minute": None,
        "service_tiers": {
            "flex": {"input_usd_per_1m": "1", "cached_input_usd_per_1m": "0.25", "output_usd_per_1m": "4.25"},
        },
        "web_search_usd_per_call": "0.01", "vision": True, "context_tokens": 1000, "max_completion_tokens": 500,
    }  # fmt: skip


async def test_every_price_of_a_picture_model_is_shown(serving: Serving) -> None:
    """By the picture; it has none by tokens."""
    async with serving(models={"realvision": ModelSettings(engine="up")}) as gateway:
        caller = await gateway.caller()
        shown = next(model for model in (await caller.get("/v1/prices")).json["data"] if model["id"] == "realvision")
        listed = (await caller.get("/v1/models/realvision")).json
    assert shown == {
        "id": "realvision", "object": "price", "type": "image", "aliases": [], "starter": False, "input_usd_per_1m": None,
        "cached_input_usd_per_1m": None, "output_usd_per_1m": None, "usd_per_image": "0.0015",
        "usd_per_1m_characters": None, "usd_per_minute": None, "service_tiers": {},
        "web_search_usd_per_call": None, "vision": False, "context_tokens": None, "max_completion_tokens": None,
    }  # fmt: skip
    assert (listed["type"], listed["context_tokens"], listed["served_by"]) == ("image", None, "up")


async def test_every_price_of_a_model_of_sounds_is_shown(serving: Serving) -> None:
    """By the character and by the minute; the list of models says what each does."""
    served = {name: ModelSettings(engine="up") for name in ("tts-1", "whisper-1")}
    async with serving(models=served) as gateway:
        caller = await gateway.caller()
        prices = {model["id"]: model for model in (await caller.get("/v1/prices")).json["data"]}
        models = {model["id"]: model for model in (await caller.get("/v1/models")).json["data"]}
    columns = ("type", "usd_per_1m_characters", "usd_per_minute", "input_usd_per_1m", "usd_per_image")
    assert [prices["tts-1"][column] for column in columns] == ["speech", "15", None, None, None]
    assert [prices["whisper-1"][column] for column in columns] == ["transcription", None, "0.006", None, None]
    assert [models[name]["type"] for name in ("tts-1", "whisper-1")] == ["speech", "transcription"]


@pytest.mark.parametrize("name", ["org/model", "org%2Fmodel", "org/model/", "org%2fmodel/", "org/alias", "org%2Falias"])
async def test_a_models_id_may_have_slashes(serving: Serving, name: str) -> None:
    """As they are or percent-encoded, by id or alias; for a key that may use it, with or without a list of models."""
    async with serving(models={"org/model": PRICED}) as gateway:
        for models in (None, ["org/model"]):
            caller = await gateway.caller(models=models)
            reply = await caller.get(f"/v1/models/{name}")
            assert (reply.status, reply.json["id"]) == (200, "org/model")
            assert reply.json in (await caller.get("/v1/models")).json["data"]
        narrow = await gateway.caller(models=["gpt-4o"])
        shows(
            await narrow.get(f"/v1/models/{name}"), 403, "permission_denied", "permission_error", "org/model", param="model"
        )


@pytest.mark.parametrize(
    "name", ["nothing", "org/model%2525", "org%252Fmodel", "..%2F..%2Fetc", "%00", "%FF", "{model}", "gpt-4o%20", "a" * 5000]
)
async def test_a_model_that_is_not_there(gateway: LocalGateway, caller: Caller, name: str) -> None:
    """404 in the house's shape, whatever the name is made of."""
    shows(
        await caller.get(f"/v1/models/{name}"),
        404,
        "model_not_found",
        "invalid_request_error",
        "GET /v1/models",
        param="model",
    )
