"""Traces to a collector, by OTLP over HTTP (docs/operating/traces.md). Needs the extra `otel`, imported only where it is on.

A request is one span, made of its record when it has ended: nothing is added to the call's own path. Spans wait in a
bounded queue and are sent by a thread of their own; what a collector does not take is dropped.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minitoolai import __version__
from minitoolai.core.ids import request_id
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.core.records import RequestRecord
from minitoolai.runtime.call_log import QUIET

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter

#: Spans that wait at most, and those sent at once: 20 s of a hundred calls a second.
MOST_WAITING, MOST_PER_BATCH = 2048, 512
#: Spans wait so long for others, in seconds; and a collector may take so long for a batch.
BATCH_S, SEND_TIMEOUT_S = 2.0, 5.0
#: What a stopping process gives the collector for the last spans, in seconds.
CLOSE_TIMEOUT_S = 3.0
_NS = 1_000_000_000


def check_traces(endpoint: str | None) -> None:
    """Raise `ConfigInvalid` where traces are asked for and cannot be made."""
    if endpoint is None:
        return
    source = "telemetry.otlp_endpoint"
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigInvalid(source=source, why="it is no URL; write it like http://127.0.0.1:4318")
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.exporter") is None:
        raise ConfigInvalid(source=source, why="traces need the extra 'otel'; run: pip install 'minitoolai[otel]'")


def parse_headers(text: str | None) -> dict[str, str]:
    """Return the headers in "name=value,name=value", as OTEL_EXPORTER_OTLP_HEADERS writes them."""
    pairs = [pair.partition("=") for pair in (text or "").split(",")]
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals and name.strip()}


class Traces:
    """Makes the spans (`services.ports.Observer`)."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], exporter: SpanExporter | None = None) -> None:
        """`endpoint`: the collector's base URL; `exporter`: in place of that, for tests."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        url = f"{endpoint.rstrip('/')}/v1/traces"
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "minitoolai", "service.version": __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter or OTLPSpanExporter(url, headers=dict(headers), timeout=SEND_TIMEOUT_S),
                max_queue_size=MOST_WAITING,
                max_export_batch_size=MOST_PER_BATCH,
                schedule_delay_millis=BATCH_S * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("minitoolai", __version__)
        self._parent = TraceContextTextMapPropagator()
        self._server, self._failed = SpanKind.SERVER, StatusCode.ERROR

    def ended(self, record: RequestRecord) -> None:
        """Make the span of a request that has ended."""
        if record.route in QUIET:
            return
        ended_ns = int(record.ended_at * _NS)
        began_ns = ended_ns - int(record.duration_s * _NS)
        span = self._tracer.start_span(
            span_name(record),
            self._context(record),
            kind=self._server,
            attributes=attributes(record),
            start_time=began_ns,
        )
        for name, seconds, facts in events(record):
            span.add_event(name, facts, began_ns + int(seconds * _NS))
        if record.status >= 500 or (record.error is not None and record.status < 400):
            span.set_status(self._failed, record.error)
        span.end(ended_ns)

    async def close(self) -> None:
        """Send what is waiting, at most `CLOSE_TIMEOUT_S`."""
        last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        deadline = asyncio.get_running_loop().time() + CLOSE_TIMEOUT_S
        while last.is_alive() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

    def _context(self, record: RequestRecord) -> Context | None:
        """Return the caller's span as the parent, where it named one."""
        if record.trace_parent is None:
            return None
        return self._parent.extract({"traceparent": record.trace_parent})


def span_name(record: RequestRecord) -> str:
    """Return the name of a request's span: few are different, none is chosen by callers."""
    return f"{_operation(record)} {record.model}" if record.model else record.route


def attributes(record: RequestRecord) -> dict[str, Any]:
    """Return a span's attributes, by the semantic conventions of HTTP and GenAI
    (https://opentelemetry.io/docs/specs/semconv/gen-ai/) and, for what they lack, under `minitoolai`."""
    method, _, path = record.route.partition(" ")
    found: dict[str, Any] = {
        "http.request.method": method if path else None,
        "http.route": path or None,
        "http.response.status_code": record.status,
        "error.type": record.error,
        "minitoolai.request_id": request_id(record.call_id),
        "minitoolai.account_id": record.account_id,
        "minitoolai.key_id": record.key_id,
        "gen_ai.request.model": record.asked,
    }
    if record.model is not None:
        found |= {"gen_ai.operation.name": _operation(record), "gen_ai.response.model": record.model}
    if record.outcome is not None:
        found |= {
            "gen_ai.provider.name": record.engine,
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
            "minitoolai.reasoning_tokens": record.reasoning_tokens,
            "minitoolai.outcome": record.outcome,
            "minitoolai.attempts": record.attempts,
            "minitoolai.stream": record.stream,
            "minitoolai.held_usd": record.held_nusd / NUSD_PER_USD,
            "minitoolai.cost_usd": record.cost_nusd / NUSD_PER_USD,
        }
    return {name: value for name, value in found.items() if value is not None}


def events(record: RequestRecord) -> list[tuple[str, float, dict[str, str]]]:
    """Return what happened on the way, with its time in seconds after the arrival."""
    found: list[tuple[str, float, dict[str, str]]] = []
    if record.held_s is not None:
        found.append(("hold granted", record.held_s, {}))
        if record.first_content_ms is not None:
            found.append(("first token", record.held_s + record.first_content_ms / 1000, {}))
    settled_s = record.settled_s if record.settled_s is not None else record.duration_s
    found += [("engine failed", settled_s, {"engine": engine, "error.type": code}) for engine, code in record.failures]
    if record.settled_s is not None:
        found.append(("settled", record.settled_s, {}))
    return found


def _operation(record: RequestRecord) -> str:
    return "embeddings" if record.route.endswith("/embeddings") else "chat"
