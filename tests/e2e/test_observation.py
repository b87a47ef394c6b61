"""Logs and metrics of the whole product: several workers as one, workers that die, lines that are all JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.books import Books
from tests.support.clients import Caller, Reply, until
from tests.support.servers import ProductServer
from tests.support.upstream import Upstream

CALLS = 40
#: Scrapes that reach both of two workers but once in a thousand million million times.
SCRAPES = 50


def sums(page: Reply, name: str) -> float:
    """Return the sum of all samples of a metric."""
    assert page.status == 200
    families = text_string_to_metric_families(page.text)
    return sum(s.value for family in families for s in family.samples if s.name == f"minitoolai_{name}")


async def test_workers_show_as_one(product: ProductServer, database_url: str, upstream: Upstream) -> None:
    """Whichever of two workers is asked shows the calls of both; when one is killed no counter falls."""
    product.use_upstream(upstream.url)
    product.start("--workers", "2")
    caller = await Books(database_url).caller(product.base)
    replies = await asyncio.gather(*(caller.openai() for _ in range(CALLS)))
    assert {reply.status for reply in replies} == {200}
    await asyncio.sleep(0.3)  # figures of the other worker are there after 0.1 s
    for _ in range(SCRAPES):
        page = await caller.get("/metrics")
        assert sums(page, "calls_total") == CALLS
        assert round(sums(page, "cost_usd_total") * 10**9) == sum(reply.cost_nusd for reply in replies)
        assert sums(page, "gateways") == 2
    before = sums(page, "requests_total")
    os.kill(product.gateway_pids()[0], signal.SIGKILL)
    await until(lambda: len(product.gateway_pids()) == 2, "the worker is there again")
    await asyncio.sleep(1)
    assert {(await caller.openai()).status for _ in range(10)} == {200}
    await asyncio.sleep(0.3)
    for _ in range(SCRAPES):
        page = await caller.get("/metrics")
        assert sums(page, "calls_total") == CALLS + 10
        assert sums(page, "requests_total") >= before


async def test_every_line_is_json(product: ProductServer, database_url: str, upstream: Upstream) -> None:
    """Where standard error is no terminal each line is an object; each call has one, with its request id."""
    product.use_upstream(upstream.url)
    product.start()
    caller = await Books(database_url).caller(product.base)
    replies = [await caller.openai(), await caller.seed(), await caller.openai(n=9), await caller.get("/v1/nothing")]
    replies.append(await Caller(product.base, "sk-forged\\nkey", "", 0, 0).openai())
    await asyncio.sleep(0.2)  # lines are written within 0.05 s
    os.kill(product.gateway_pids()[0], signal.SIGABRT)  # the supervisor has to say so
    await until(lambda: "SIGABRT" in product.log.read_text(), "its end in the log")
    assert product.stop() == 0
    lines = [json.loads(line) for line in product.log.read_text().splitlines()]
    assert all({"ts", "level", "logger", "message"} <= line.keys() for line in lines)
    calls = {line["request_id"]: line for line in lines if line["logger"] == "minitoolai.calls"}
    assert len(calls) == len(replies)
    seen = [calls[reply.headers["x-request-id"]] for reply in replies]
    assert [line["status"] for line in seen] == [200, 200, 400, 404, 401]
    assert [line["outcome"] for line in seen] == ["completed", "completed", None, None, None]
    assert [line["account_id"] for line in seen] == [caller.account_id] * 3 + [None] * 2
    assert [line["cost_nusd"] for line in seen[:2]] == [reply.cost_nusd for reply in replies[:2]]
    assert (seen[1]["stream"], seen[1]["first_content_ms"] is not None) == (True, True)
    assert seen[3]["route"] == "unmatched"


async def test_text_and_silence(product: ProductServer, database_url: str, upstream: Upstream) -> None:
    """The settings make lines text, and leave the calls out."""
    product.use_upstream(upstream.url)
    product.configure('[log]\nformat = "text"\n' + product.config.read_text())
    product.start()
    caller = await Books(database_url).caller(product.base)
    request_id = (await caller.openai()).headers["x-request-id"]
    await until(lambda: request_id in product.log.read_text(), "the line")
    (line,) = [line for line in product.log.read_text().splitlines() if request_id in line]
    assert " INFO minitoolai.calls: " in line
    assert "200 completed model=gpt-4o-mini engine=up" in line
    product.stop()
    product.log.write_text("")
    product.configure(
        "[log]\ncalls = false\n" + product.config.read_text().partition("\n\n")[0].partition("\n")[2].partition("\n")[2]
    )
    product.start()
    caller = await Books(database_url).caller(product.base)
    await caller.openai()
    product.stop()
    assert "minitoolai.calls" not in product.log.read_text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[server]\nmetrics_token_env = "NO_SUCH"\n', "the variable NO_SUCH is not set"),
        ('[server]\ncors_origins = ["https://a.example/"]\n', "server.cors_origins: 'https://a.example/' is no origin"),
        ('[telemetry]\notlp_endpoint = "localhost:4318"\n', "http://127.0.0.1:4318"),
        ('[telemetry]\notlp_endpoint = "http://127.0.0.1:4318"\notlp_headers_env = "NO_SUCH"\n', "NO_SUCH is not set"),
        ('[log]\nformat = "xml"\n', "log.format"),
        ("[log]\ncall = true\n", "log.calls"),
    ],
)
def test_wrong_settings_stop_the_start(product: ProductServer, settings: str, said: str) -> None:
    """A setting that cannot be followed is refused with one line that names it."""
    product.configure(settings)
    done = product.command("serve", "--port", "0", check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("minitoolai: ")]
    assert said in line
