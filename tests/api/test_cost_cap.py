"""What a caller may bound and what is told when it is not understood: `x-max-cost`, `Idempotency-Key`, odd bodies."""

from __future__ import annotations

import json

import pytest

from tests.support.clients import Caller
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/chat/completions"


def body(**more: object) -> dict[str, object]:
    """A small call of gpt-4o-mini: 1000 completion tokens cost 0.0006 USD at most."""
    question = [{"role": "user", "content": "hello"}]
    return {"model": "gpt-4o-mini", "messages": question, "max_completion_tokens": 1000, **more}


async def test_a_call_over_its_cap_is_refused_before_it_runs(caller: Caller, upstream: Upstream) -> None:
    """402 with both amounts; the engine is not asked and nothing is held."""
    reply = await caller.send(PATH, body(), headers={"x-max-cost": "0.0006"})
    assert reply.status == 402
    assert (reply.json["error"]["code"], reply.json["error"]["param"]) == ("insufficient_credit", "x-max-cost")
    assert "0.0006 USD that x-max-cost allows" in reply.json["error"]["message"]
    assert upstream.asked == []
    assert (await caller.get("/v1/balance")).json["held"] == "0"


async def test_a_call_under_its_cap_runs(caller: Caller) -> None:
    """The prompt is counted exactly before a cap refuses: its bytes alone would be over this one."""
    reply = await caller.send(PATH, body(), headers={"x-max-cost": "0.000602"})
    assert reply.status == 200


@pytest.mark.parametrize("cap", ["", "1e-3", "-1", "nothing", "0.0000000001"])
async def test_a_cap_that_is_no_amount_is_refused(caller: Caller, cap: str) -> None:
    """400 that names the header."""
    reply = await caller.send(PATH, body(), headers={"x-max-cost": cap})
    assert (reply.status, reply.json["error"]["param"]) == (400, "x-max-cost")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"x": 1}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"a": 1}]}]}, "messages[0].tool_calls[0].id"),
    ],
)
async def test_tools_without_a_shape_are_refused(caller: Caller, more: dict[str, object], param: str) -> None:
    """400 with the path, whatever the engine would make of it."""
    reply = await caller.send(PATH, body(**more))
    assert (reply.status, reply.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize("depth", [150, 250, 983, 100_000])
async def test_depth_is_bounded(caller: Caller, depth: int) -> None:
    """What is decoded can be handed on; what is deeper is refused as JSON."""
    raw = json.dumps(body())[:-1] + ', "metadata": ' + '{"a":' * depth + "1" + "}" * depth + "}"
    reply = await caller.send(PATH, raw.encode())
    assert reply.status == (200 if depth < 200 else 400)
