"""Spans of finished requests, as a collector receives them."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.core.ledger import CallOutcome, Settlement
from minitoolai.core.records import CallFacts, RequestRecord, request_record
from minitoolai.runtime import traces as module
from minitoolai.runtime.traces import Traces, check_traces, parse_headers
from tests.support.clients import until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SETTLEMENT = Settlement(
    UUID(int=1), 12_750, CallOutcome.COMPLETED, prompt_tokens=21, completion_tokens=16, cached_tokens=4, first_content_ms=40
)


class Collector:
    """An OTLP/HTTP receiver."""

    def __init__(self) -> None:
        self.base = ""
        self.headers: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.resource: dict[str, str] = {}

    async def receive(self, request: web.Request) -> web.Response:
        """Take a batch."""
        batch = ExportTraceServiceRequest()
        batch.ParseFromString(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        for resource in batch.resource_spans:
            self.resource = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(content_type="application/x-protobuf")


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    """A receiver on a free port."""
    found = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", found.receive)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


def record(
    *, route: str = "POST /v1/chat/completions", status: int = 200, parent: str | None = None, **facts: Any
) -> RequestRecord:
    """A request of 1.5 s that ended at 1795425927 s."""
    return request_record(
        UUID(int=1), CallFacts(**facts), route=route, status=status, began_at=0.0, now=1.5, ended_at=1795425927.0,
        trace_parent=parent,
    )  # fmt: skip


def paid(**more: Any) -> RequestRecord:
    """A call that was paid."""
    return record(
        account_id=1000, asked="alias", model="gpt-4o", engine="up", stream=True, attempts=2, held_nusd=20_000,
        held_at=0.25, settlement=SETTLEMENT, settled_at=1.25, failures=[("other", "upstream_error")], **more,
    )  # fmt: skip


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes as plain values."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


async def sent(collector: Collector, *records: RequestRecord) -> list[Any]:
    """Let `records` be traced and return their spans."""
    traces = Traces(collector.base + "/", {"authorization": "Bearer t"})
    for each in records:
        traces.ended(each)
    await traces.close()
    await until(lambda: len(collector.spans) == len(records), "the spans")
    return collector.spans


async def test_a_paid_call_is_a_span(collector: Collector) -> None:
    """Its attributes are those of the GenAI conventions, its events have their times."""
    (span,) = await sent(collector, paid())
    assert (span.name, span.kind, len(span.parent_span_id)) == ("chat gpt-4o", 2, 0)
    assert attributes(span) == {
        "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200,
        "minitoolai.request_id": "req_00000000000000000000000000000001", "minitoolai.account_id": 1000,
        "gen_ai.request.model": "alias", "gen_ai.operation.name": "chat", "gen_ai.response.model": "gpt-4o",
        "gen_ai.provider.name": "up", "gen_ai.usage.input_tokens": 21, "gen_ai.usage.output_tokens": 16,
        "gen_ai.usage.cache_read.input_tokens": 4, "minitoolai.reasoning_tokens": 0, "minitoolai.outcome": "completed",
        "minitoolai.attempts": 2, "minitoolai.stream": True, "minitoolai.held_usd": 0.00002,
        "minitoolai.cost_usd": 0.00001275,
    }  # fmt: skip
    began = span.start_time_unix_nano
    assert span.end_time_unix_nano - began == 1_500_000_000
    times = {event.name: round((event.time_unix_nano - began) / 10**6) for event in span.events}
    assert times == {"hold granted": 250, "first token": 290, "engine failed": 1250, "settled": 1250}
    assert collector.resource["service.name"] == "minitoolai"
    assert collector.headers[0]["authorization"] == "Bearer t"


async def test_the_callers_trace_goes_on(collector: Collector) -> None:
    """With a `traceparent` the span is a child of the caller's; with a broken one it begins a trace of its own."""
    child, alone = await sent(collector, paid(parent=PARENT), paid(parent="00-zz-1-01"))
    assert child.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert child.parent_span_id.hex() == "b7ad6b7169203331"
    assert alone.trace_id.hex() != child.trace_id.hex()
    assert not alone.parent_span_id


async def test_failures_show_and_health_does_not(collector: Collector) -> None:
    """A server's failure is an error of the span, a caller's is not; other routes are named by themselves."""
    failed, refused, models = await sent(
        collector,
        record(status=503, error="service_unavailable"),
        record(status=401, error="invalid_api_key"),
        record(route="GET /v1/models"),
    )
    assert (failed.status.code, failed.status.message) == (2, "service_unavailable")
    assert (refused.status.code, attributes(refused)["error.type"]) == (0, "invalid_api_key")
    assert models.name == "GET /v1/models"
    traces = Traces(collector.base, {})
    traces.ended(record(route="GET /readyz"))
    await traces.close()
    assert len(collector.spans) == 3


async def test_a_collector_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a span never waits, and the end of the process waits a bounded time."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.3)
    server = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    traces = Traces(f"http://127.0.0.1:{server.getsockname()[1]}", {})
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(100):
        traces.ended(paid())
    assert loop.time() - began < 0.5
    await traces.close()
    assert loop.time() - began < 2
    server.close()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces that are asked for and cannot be made are refused at the start, with the remedy."""
    check_traces(None)
    check_traces("http://127.0.0.1:4318")
    with pytest.raises(ConfigInvalid, match="it is no URL"):
        check_traces("localhost:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigInvalid, match=r"pip install 'minitoolai\[otel\]'"):
        check_traces("http://127.0.0.1:4318")


def test_headers_are_read_as_opentelemetry_writes_them() -> None:
    """Pairs with equals signs between commas; what is none is left out."""
    assert parse_headers("Authorization=Bearer a=b, x-scope = 1,,broken") == {"authorization": "Bearer a=b", "x-scope": "1"}
    assert parse_headers(None) == {}
