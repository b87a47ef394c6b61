"""`GET /v1/usage`: each call with its cost, sums, pages and CSV; a key sees its own, an owner's key the account's."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minitoolai.api.usage import CALL_COLUMNS, MOST_DAYS, PARAMETERS
from minitoolai.core.money import parse_usd
from tests.support.clients import Caller, Reply, shows
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

TODAY = datetime.now(UTC).date()
#: Parameters that no report takes, with the one at fault.
HOSTILE = [
    ("form=2026-01-01", "form"),
    ("from=2026-01-01&from=2026-01-01", "from"),
    ("from=yesterday", "from"),
    ("from=20260101", "from"),
    ("from=2026-W01-1", "from"),
    ("from=2026-02-30", "from"),
    ("from=0001-01-01", "from"),
    ("to=9999-12-31", "to"),
    ("from=2026-01-02&to=2026-01-02", "to"),
    ("from=2026-01-02&to=2025-01-01", "to"),
    ("from=%EF%BC%92026-01-01", "from"),
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("limit=-1", "limit"),
    ("limit=1e2", "limit"),
    ("limit=%C2%B2", "limit"),
    ("limit=99999999999999999999999", "limit"),
    ("limit=", "limit"),
    ("format=xml", "format"),
    ("after=%00", "after"),
    ("after=x", "after"),
    ("after=!!!!", "after"),
    ("after=W10", "after"),
    ("after=WzEsMl0", "after"),
    ("after=WyJhIiwiYiJd", "after"),
    ("after=WzFlMzAwLCIwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCJd", "after"),
    ("after=" + "A" * 5000, "after"),
    ("%FF=1", "query"),
    ("from=%FF", "query"),
    ("&".join(f"a{number}=1" for number in range(500)), "query"),
]
HOSTILE_USAGE = [
    (f"from=2024-01-01&to={2024 + 2}-01-01", "from"),
    ("group_by=", "group_by"),
    ("group_by=day,day", "group_by"),
    ("group_by=cost", "group_by"),
    ("group_by=day;DROP TABLE keys", "group_by"),
    ("key_id=0", "key_id"),
    ("key_id=9223372036854775808", "key_id"),
    ("key_id=1001%20OR%201=1", "key_id"),
    ("model=%00", "model"),
    ("model=" + "m" * 1001, "model"),
    ("request_id=req_", "request_id"),
    ("request_id=" + "0" * 32, "request_id"),
    ("request_id=req_" + "G" * 32, "request_id"),
    ("group_by=day&after=WyJhIl0", "after"),
    ("group_by=day&after=Wzk5OTk5OTk5OTld", "after"),
    ("group_by=model&after=WzFd", "after"),
    ("group_by=model&after=WyJcdTAwMDAiXQ", "after"),
    ("group_by=key&after=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OV0", "after"),
]


async def rows_of(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    """Return a report's rows, page by page."""
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        reply = await caller.get(f"/v1/usage?{query}{after}")
        assert reply.status == 200, reply.text
        assert reply.json.keys() == {"object", "data", "next"}
        rows += reply.json["data"]
        if reply.json["next"] is None:
            return rows
        after = f"&after={reply.json['next']}"


async def family(gateway: LocalGateway) -> tuple[Caller, Caller, Caller]:
    """An owner's key and two ordinary ones of one account, each with calls of its own."""
    owner = await gateway.caller(owner=True, name="=cmd()|' /C calc'!A0")
    first = await gateway.caller(account=owner.account, name="first")
    second = await gateway.caller(account=owner.account, name="second")
    for caller, model, calls in (
        (owner, "gpt-4o", 1),
        (first, "gpt-4o-mini", 3),
        (first, "gpt-4o", 1),
        (second, "gpt-4o", 2),
    ):
        for _ in range(calls):
            assert (await caller.openai(model=model)).status == 200
    return owner, first, second


async def test_a_call_is_listed_with_all_that_it_cost(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Tokens, prices, cost, times; a stream says when its first content came; a failure costs 0."""
    whole, stream = await caller.openai(), await caller.seed()
    await gateway.settle()
    last, first = await rows_of(caller)
    assert tuple(first) == CALL_COLUMNS
    assert first["request_id"] == whole.headers["x-request-id"]
    assert first["cost"] == whole.headers["x-minitoolai-cost"]
    assert (first["key_id"], first["model"], first["engine"], first["outcome"]) == (
        caller.key_id,
        "gpt-4o-mini",
        "up",
        "completed",
    )
    assert (first["prompt_tokens"], first["completion_tokens"], first["cached_tokens"]) == (17, 9, 0)
    assert (first["input_usd_per_1m"], first["output_usd_per_1m"], first["fees"]) == ("0.15", "0.6", "0")
    assert (first["first_content_ms"], first["service_tier"], first["counted_by_gateway"]) == (None, None, False)
    assert first["started_at"] <= first["ended_at"] <= last["ended_at"]
    assert first["ended_at"].endswith("Z")
    assert (last["request_id"], last["cost"]) == (stream.headers["x-request-id"], first["cost"])
    assert isinstance(last["first_content_ms"], int)


async def test_who_sees_what(gateway: LocalGateway, upstream: Upstream) -> None:
    """A key its own calls, an owner's key the account's, nobody another account's, whatever they ask for."""
    owner, first, second = await family(gateway)
    stranger, boss = await gateway.caller(), await gateway.caller(owner=True)
    await stranger.openai()
    assert {row["key_id"] for row in await rows_of(owner)} == {owner.key_id, first.key_id, second.key_id}
    assert {row["key_id"] for row in await rows_of(first)} == {first.key_id}
    assert len(await rows_of(first, f"key_id={first.key_id}")) == 4
    assert len(await rows_of(owner, f"key_id={second.key_id}")) == 2
    assert await rows_of(owner, f"key_id={stranger.key_id}") == []
    assert await rows_of(boss) == []
    for asked in (second.key_id, stranger.key_id, 2**63 - 1):
        refused = await first.get(f"/v1/usage?key_id={asked}")
        shows(refused, 403, "permission_denied", "permission_error", "owner", param="key_id")
    mine = (await rows_of(second))[0]
    cursor = (await second.get("/v1/usage?limit=1")).json["next"]
    for other in (first, stranger, boss):
        assert await rows_of(other, f"request_id={mine['request_id']}") == []
        seen = (await other.get(f"/v1/usage?after={cursor}")).json["data"]
        assert {row["key_id"] for row in seen} <= {other.key_id}
    assert await rows_of(owner, f"request_id={mine['request_id']}") == [mine]
    assert (await first.send("/v1/usage", method="GET", headers={"authorization": ""})).status == 401


async def test_sums_by_day_model_and_key(gateway: LocalGateway, upstream: Upstream) -> None:
    """In any combination, in the order asked for; they add up to the calls."""
    owner, first, second = await family(gateway)
    calls = await rows_of(owner)
    total = sum(parse_usd(row["cost"]) for row in calls)
    for groups in ("day", "model", "key", "day,model", "key,day", "model,key,day"):
        for limit in (1, 2, 1000):
            rows = await rows_of(owner, f"group_by={groups}&limit={limit}")
            assert sum(row["calls"] for row in rows) == len(calls) == 7
            assert sum(parse_usd(row["cost"]) for row in rows) == total
            names = [name for group in groups.split(",") for name in (["key_id", "key_name"] if group == "key" else [group])]
            assert list(rows[0])[: len(names)] == names
    (day,) = await rows_of(owner, "group_by=day")
    assert (day["day"], day["calls"], day["prompt_tokens"], day["completion_tokens"]) == (
        TODAY.isoformat(),
        7,
        7 * 17,
        7 * 9,
    )
    by_key = await rows_of(owner, "group_by=key")
    assert [(row["key_id"], row["key_name"]) for row in by_key][1:] == [(first.key_id, "first"), (second.key_id, "second")]
    by_model = await rows_of(first, "group_by=model")
    assert [(row["model"], row["calls"]) for row in by_model] == [("gpt-4o", 1), ("gpt-4o-mini", 3)]
    assert [row["calls"] for row in await rows_of(owner, "group_by=day&model=gpt-4o-mini")] == [3]
    assert await rows_of(owner, "group_by=day&model=nothing") == []


async def test_days_bound_a_report(caller: Caller) -> None:
    """`from` is in, `to` is not; without both the last 31 days."""
    await caller.openai()
    tomorrow, yesterday = TODAY + timedelta(days=1), TODAY - timedelta(days=1)
    for query, count in {
        "": 1, f"from={TODAY}": 1, f"to={TODAY}": 0, f"from={tomorrow}": 0, f"from={yesterday}&to={TODAY}": 0,
        f"from={yesterday}&to={tomorrow}": 1, f"from={tomorrow - timedelta(days=MOST_DAYS)}&to={tomorrow}": 1,
        f"from={TODAY - timedelta(days=MOST_DAYS)}": 0, "from=2001-01-01": 0, "from=2199-12-31": 0,
    }.items():  # fmt: skip
        assert len(await rows_of(caller, query)) == count, query


def cells(reply: Reply) -> list[list[str]]:
    """Return the lines of a CSV reply."""
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    text = reply.text
    assert text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


async def test_a_report_as_csv(gateway: LocalGateway, upstream: Upstream) -> None:
    """By `format` or by `Accept`; the next page's mark is a header; no text is a formula."""
    owner, _, _ = await family(gateway)
    listed = cells(await owner.get("/v1/usage?format=csv&limit=1000"))
    assert tuple(listed[0]) == CALL_COLUMNS
    assert len(listed) == 8
    first = await owner.get("/v1/usage?format=csv&limit=5")
    rest = await owner.get(f"/v1/usage?format=csv&limit=5&after={first.headers['x-minitoolai-next']}")
    assert "x-minitoolai-next" not in rest.headers
    assert cells(first) + cells(rest)[1:] == listed
    by_accept = await owner.send("/v1/usage?group_by=key", method="GET", headers={"accept": "text/csv, */*"})
    assert cells(by_accept)[1][:2] == [str(owner.key_id), "'=cmd()|' /C calc'!A0"]
    json_all_the_same = await owner.send("/v1/usage?format=json", method="GET", headers={"accept": "text/csv"})
    assert json_all_the_same.json["object"] == "list"


@pytest.mark.parametrize(("query", "param"), [*HOSTILE, *HOSTILE_USAGE])
async def test_a_query_that_is_wrong(caller: Caller, query: str, param: str) -> None:
    """400 with the parameter and the remedy, never a report of something else."""
    shows(await caller.get(f"/v1/usage?{query}"), 400, "invalid_value", "invalid_request_error", param=param)


async def test_the_remedy_names_what_there_is(caller: Caller) -> None:
    """An unknown parameter is answered with all that there are."""
    assert set(PARAMETERS) <= set(
        (await caller.get("/v1/usage?x=1")).error["message"].replace(".", "").replace(",", "").split()
    )
