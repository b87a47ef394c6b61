"""`POST /v1/quotes`: the most that a call may cost, held to what the call is then held at and charged."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from aiohttp import web

from minitoolai.core.money import charge_nusd, parse_usd
from minitoolai.runtime.model_settings import ModelSettings, TierSettings
from tests.api.conftest import Serving
from tests.support.clients import BODY, Caller, Reply, hold_of, shows
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Asked, Upstream, completion, usage

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
TALK = [
    {"role": "developer", "content": "Zażółć gęślą jaźń. " * 20},
    {"role": "user", "content": [{"type": "text", "text": "日本語のテキスト 🙂"}, {"type": "text", "text": "x" * 3000}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{\"in\": \"Juneau\"}"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "cold"},
]  # fmt: skip
#: Bodies of every kind that changes what a call may cost.
BODIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "limited": {"max_completion_tokens": 1000},
    "one token": {"max_tokens": 1},
    "choices": {"n": 8, "max_completion_tokens": 100},
    "dearer": {"model": "gpt-4o"},
    "alias": {"model": "gpt-4o-2024-08-06"},
    "talk": {"messages": TALK, "tools": [TOOL]},
    "large": {"messages": [{"role": "user", "content": "word " * 20_000}]},
    "schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}},
}


async def quoted(caller: Caller, **fields: Any) -> dict[str, Any]:
    """Return a quote."""
    reply = await caller.send("/v1/quotes", {**BODY, **fields})
    assert reply.status == 200, reply.text
    shown: dict[str, Any] = reply.json
    return shown


async def test_a_quote_says_what_it_is_made_of(caller: Caller, upstream: Upstream) -> None:
    """Lines with counts and prices, their sum rounded once; nothing ran, nothing is held or charged."""
    quote = await quoted(caller, max_completion_tokens=1000)
    assert quote == {
        "object": "quote", "model": "gpt-4o-mini", "max_cost": "0.00060255", "max_completion_tokens": 1000,
        "lines": [
            {"what": "input tokens", "count": 17, "usd_per_1m": "0.15", "cost": "0.00000255"},
            {"what": "output tokens", "count": 1000, "usd_per_1m": "0.6", "cost": "0.0006"},
        ],
    }  # fmt: skip
    assert upstream.asked == []
    assert (await caller.get("/v1/balance")).json == {
        "object": "balance", "balance": "5", "held": "0", "available": "5", "currency": "USD",
    }  # fmt: skip
    assert (await caller.get("/v1/usage")).json["data"] == []


@pytest.mark.parametrize("kind", BODIES)
async def test_no_call_costs_more_than_its_quote(gateway: LocalGateway, upstream: Upstream, kind: str) -> None:
    """An answer as long as it may be is charged exactly the quote; under x-max-cost that is what is held as well."""
    caller = await gateway.caller()
    body = BODIES[kind]
    quote = await quoted(caller, **body)
    lines = {line["what"]: line for line in quote["lines"]}
    prompt, written = lines["input tokens"]["count"], lines["output tokens"]["count"]
    assert written == quote["max_completion_tokens"] * body.get("n", 1)
    held: list[int] = []

    async def look(request: web.Request, asked: Asked) -> web.StreamResponse:
        held.append(
            (await gateway.books.fetch("SELECT amount FROM holds WHERE account_id = $1", caller.account_id))[0]["amount"]
        )
        assert asked.body["max_completion_tokens"] == quote["max_completion_tokens"]
        return web.json_response(completion("Alaska", usage(prompt, written)))

    upstream.handler = look
    most = parse_usd(quote["max_cost"])
    for headers in ({"x-max-cost": quote["max_cost"]}, {}):
        reply = await caller.send("/v1/chat/completions", {**BODY, **body}, headers=headers)
        assert (reply.status, parse_usd(reply.headers["x-minitoolai-cost"])) == (200, most)
    assert held[0] == most
    assert held[1] >= most
    refused = await caller.send("/v1/chat/completions", {**BODY, **body}, headers={"x-max-cost": usd(most - 1)})
    shows(refused, 402, "insufficient_credit", "insufficient_quota", quote["max_cost"], param="x-max-cost")


async def test_tiers_and_fees_are_quoted(serving: Serving, upstream: Upstream) -> None:
    """At the dearest price that the call may be served at; a fee is a line of its own."""
    model = ModelSettings(
        engine="up", input_usd_per_1m="2", output_usd_per_1m="8", web_search_usd_per_call="0.01",
        service_tiers={"priority": TierSettings(input_usd_per_1m="3", output_usd_per_1m="12")},
    )  # fmt: skip
    async with serving(models={"m": model}) as gateway:
        caller = await gateway.caller()
        quote = await quoted(caller, model="m", max_completion_tokens=10, service_tier="priority", web_search_options={})
    assert [(line["what"], line["usd_per_1m"]) for line in quote["lines"]] == [
        ("input tokens", "3"), ("output tokens", "12"), ("web search", None),
    ]  # fmt: skip
    assert quote["lines"][2] == {"what": "web search", "count": 1, "usd_per_1m": None, "cost": "0.01"}
    prompt = quote["lines"][0]["count"]
    assert parse_usd(quote["max_cost"]) == charge_nusd(prompt * parse_usd("3") + 10 * parse_usd("12")) + parse_usd("0.01")


async def test_pictures_are_part_of_the_input(caller: Caller) -> None:
    """Their tokens are a line of their own, at the price of input."""
    pixel = base64.b64encode(PIXEL).decode()
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}", "detail": "low"}},
    ]
    quote = await quoted(caller, messages=[{"role": "user", "content": content}], max_completion_tokens=10)
    lines = {line["what"]: line for line in quote["lines"]}
    assert list(lines) == ["input tokens", "image tokens", "output tokens"]
    assert lines["image tokens"]["count"] > 0
    assert lines["image tokens"]["usd_per_1m"] == lines["input tokens"]["usd_per_1m"] == "0.15"


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": None}, 400, "invalid_value", "model"),
        ({"model": 5}, 400, "invalid_value", "model"),
        ({"model": "x" * 201}, 400, "invalid_value", "model"),
        ({"model": "nothing"}, 404, "model_not_found", "model"),
        ({"model": "gpt-4.1"}, 503, "service_unavailable", "model"),
        ({"messages": []}, 400, "invalid_value", "messages"),
        ({"temperature": 3}, 400, "invalid_value", "temperature"),
        ({"max_completion_tokens": 16_385}, 400, "invalid_value", "max_completion_tokens"),
        ({"service_tier": "flex"}, 400, "invalid_value", "service_tier"),
    ],
)
async def test_what_the_call_would_be_refused_for_is_refused(
    caller: Caller, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    """The same error as the call's own."""
    quote: Reply = await caller.send("/v1/quotes", {**BODY, **fields})
    call = await caller.openai(**fields)
    assert (quote.status, quote.error["code"], quote.error["param"]) == (status, code, param)
    if fields.get("model", "") is not None:
        assert quote.error == call.error


async def test_a_quote_needs_a_key_that_may_use_the_model(gateway: LocalGateway, caller: Caller) -> None:
    """401 without a key, 403 for a model that is not the key's; an empty balance does not matter."""
    refused = await caller.send("/v1/quotes", dict(BODY), headers={"authorization": ""})
    shows(refused, 401, "invalid_api_key", "authentication_error")
    narrow = await gateway.caller(models=["gpt-4o"])
    shows(await narrow.send("/v1/quotes", dict(BODY)), 403, "permission_denied", "permission_error", param="model")
    poor = await gateway.caller("0")
    assert (await quoted(poor))["model"] == "gpt-4o-mini"
    shows(await caller.send("/v1/quotes", b"{"), 400, "invalid_json", "invalid_request_error")


async def test_a_body_of_more_than_4_mib_is_refused(serving: Serving, caller: Caller) -> None:
    """Quotes cost work and no money. A smaller limit of the operator's holds here too."""
    long = [{"role": "user", "content": "word " * 900_000}]
    told = await caller.send("/v1/quotes", {**BODY, "messages": long})
    shows(told, 413, "request_too_large", "invalid_request_error", "4194304 bytes")
    async with serving(server={"max_body_bytes": 2048}) as gateway:
        told = await (await gateway.caller()).send("/v1/quotes", {**BODY, "user": "x" * 2048})
        shows(told, 413, "request_too_large", "invalid_request_error", "2048 bytes")


async def test_the_record_of_a_call_names_its_hold(caller: Caller) -> None:
    """What was held and charged is in the usage report, by the reply's request id."""
    reply = await caller.openai(max_completion_tokens=100)
    found = (await caller.get(f"/v1/usage?request_id={reply.headers['x-request-id']}")).json["data"]
    assert [row["request_id"] for row in found] == [f"req_{hold_of(reply).hex}"]
    assert parse_usd(found[0]["held"]) >= parse_usd(found[0]["cost"]) == parse_usd(reply.headers["x-minitoolai-cost"])


def usd(nusd: int) -> str:
    """An amount as a header has it."""
    return f"{nusd // 10**9}.{nusd % 10**9:09d}"


#: A PNG of one pixel.
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
