"""`GET /v1/ledger`: what moved the account's money, to the owner; what its calls moved, to a key."""

from __future__ import annotations

from typing import Any

import pytest

from minitoolai.api.ledger import COLUMNS
from minitoolai.core.money import format_usd, parse_usd
from tests.api.test_usage_report import HOSTILE, TODAY, cells
from tests.support.clients import Caller, shows
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


def nusd(amount: str) -> int:
    """An amount with its sign, in nano-dollars."""
    return -parse_usd(amount[1:]) if amount.startswith("-") else parse_usd(amount)


async def entries_of(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    """Return the statement, page by page."""
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        reply = await caller.get(f"/v1/ledger?{query}{after}")
        assert reply.status == 200, reply.text
        rows += reply.json["data"]
        if reply.json["next"] is None:
            return rows
        after = f"&after={reply.json['next']}"


async def test_the_owner_sees_the_account_and_a_key_its_calls(gateway: LocalGateway, upstream: Upstream) -> None:
    """The newest first; the entries sum to the balance; a stranger sees nothing of them."""
    owner = await gateway.caller("2", owner=True)
    key, other = await gateway.caller(account=owner.account), await gateway.caller(account=owner.account)
    stranger = await gateway.caller()
    replies = [await caller.openai() for caller in (key, other, key, owner)]
    costs = [format_usd(-parse_usd(reply.headers["x-minitoolai-cost"])) for reply in replies]
    shown = await entries_of(owner)
    assert [(row["kind"], row["amount"], row["key_id"]) for row in shown] == [
        ("capture", costs[3], owner.key_id), ("capture", costs[2], key.key_id), ("capture", costs[1], other.key_id),
        ("capture", costs[0], key.key_id), ("credit", "2", None),
    ]  # fmt: skip
    assert tuple(shown[0]) == COLUMNS
    assert shown[-1]["request_id"] is shown[-1]["model"] is None
    assert sum(nusd(row["amount"]) for row in shown) == parse_usd((await owner.get("/v1/balance")).json["balance"])
    assert [row["request_id"] for row in shown[:4]] == [reply.headers["x-request-id"] for reply in reversed(replies)]
    assert [row["request_id"].removeprefix("req_") for row in shown[:4]] == [row["id"].replace("-", "") for row in shown[:4]]
    assert await entries_of(key) == [row for row in shown if row["key_id"] == key.key_id]
    assert await entries_of(key, "limit=1") == await entries_of(key)
    assert await entries_of(owner, "limit=2") == shown
    assert await entries_of(stranger) == []
    for cursor_of in (owner, key):
        cursor = (await cursor_of.get("/v1/ledger?limit=1")).json["next"]
        assert (await stranger.get(f"/v1/ledger?after={cursor}")).json["data"] == []
    shows(await key.get("/v1/ledger?key_id=1"), 400, "invalid_value", "invalid_request_error", param="key_id")


async def test_a_statement_as_csv_and_of_some_days(gateway: LocalGateway, upstream: Upstream) -> None:
    """Amounts keep their sign and are no formulas; days bound it as they do the usage."""
    owner = await gateway.caller("2", owner=True)
    reply = await owner.openai()
    lines = cells(await owner.get("/v1/ledger?format=csv"))
    assert lines[0] == list(COLUMNS)
    assert [line[2] for line in lines[1:]] == [f"-{reply.headers['x-minitoolai-cost']}", "2"]
    assert lines[2][4:] == ["", "", ""]
    assert len(await entries_of(owner, f"from={TODAY}")) == 2
    assert await entries_of(owner, f"to={TODAY}") == []
    assert (await owner.send("/v1/ledger/", method="GET", headers={"authorization": ""})).status == 401


@pytest.mark.parametrize(("query", "param"), HOSTILE)
async def test_a_query_that_is_wrong(caller: Caller, query: str, param: str) -> None:
    """400 with the parameter, as for the usage."""
    shows(await caller.get(f"/v1/ledger?{query}"), 400, "invalid_value", "invalid_request_error", param=param)
