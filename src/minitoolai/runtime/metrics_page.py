"""The page at `/metrics`: the figures of every gateway of this server, added up, in Prometheus's text format."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from minitoolai import __version__
from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.runtime.figures import DURATIONS_S, Figures, Key, Tally, read_figures
from minitoolai.runtime.metrics import Metrics
from minitoolai.services.breaker import State

#: A gateway writes its file every second: gauges in an older one are of a process that is gone, or stuck.
YOUNG_S = 5.0

#: How many jobs there are, by engine and state.
Depths = Mapping[tuple[str, str], int]

_ENGINE = ("model", "engine")
#: What is counted: name, text, labels (fields of `Key`), and what of a tally. Those without a route: of paid calls.
_COUNTERS: Sequence[tuple[str, str, tuple[str, ...], Callable[[Tally], float]]] = (
    ("requests", "Requests.", ("route", "status", "error"), lambda tally: tally.requests),
    ("calls", "Calls that held money.", (*_ENGINE, "outcome"), lambda tally: tally.requests),
    ("cost_usd", "What callers were charged, in USD.", _ENGINE, lambda tally: tally.cost_nusd / NUSD_PER_USD),
    (
        "shortfall_usd", "Usage above the hold, at the operator's cost, in USD.", _ENGINE,
        lambda tally: tally.shortfall_nusd / NUSD_PER_USD,
    ),
    ("characters", "Characters that were spoken while their callers waited.", _ENGINE, lambda tally: tally.characters),
    ("audio_seconds", "Sound that was written down, in seconds.", _ENGINE, lambda tally: tally.audio_ms / 1000),
    ("failovers", "Engines called beyond a call's first.", ("model",), lambda tally: tally.failovers),
)  # fmt: skip
_TOKENS: Mapping[str, Callable[[Tally], float]] = {
    "prompt": lambda tally: tally.prompt_tokens,
    "cached": lambda tally: tally.cached_tokens,
    "completion": lambda tally: tally.completion_tokens,
    "reasoning": lambda tally: tally.reasoning_tokens,
}
_LE = (*(str(bound) for bound in DURATIONS_S), "+Inf")
#: Gauges of the processes: what each is, and how those of several make one.
_GAUGES: Mapping[str, tuple[str, Callable[[Iterable[float]], float]]] = {
    "open_calls": ("Paid calls between their hold and their settlement.", sum),
    "holds_open": ("Holds that calls have not ended yet.", sum),
    "held_usd": ("Money set aside by these holds, in USD.", sum),
    "holds_pending": ("Holds that wait for the database.", sum),
    "settlements_pending": ("Settlements that the database has not taken yet.", sum),
    "resident_memory_bytes": ("Memory of the gateways.", sum),
    "open_descriptors": ("Open files and connections of the gateways.", sum),
    "loop_lag_seconds": ("How late the slowest gateway's event loop was.", max),
}


class MetricsPage:
    """Makes the page."""

    def __init__(
        self, metrics: Metrics, readiness: Callable[[], Awaitable[dict[str, Any]]], depths: Callable[[], Awaitable[Depths]]
    ) -> None:
        """`depths` counts the jobs that wait or run; it may fail with `DatabaseUnavailable`."""
        self._metrics = metrics
        self._readiness = readiness
        self._depths = depths

    async def __call__(self) -> bytes:
        """Return the page as it is now."""
        state = await self._readiness()
        self._metrics.flush()
        return generate_latest(_Families([*_families(*self._all()), *_server(state), *await self._jobs(state)]))

    async def _jobs(self, state: Mapping[str, Any]) -> list[Metric]:
        """Return how many jobs there are; nothing while the database does not say."""
        if state["database"] != "ok":
            return []
        try:
            depths = await self._depths()
        except DatabaseUnavailable:
            return []
        jobs = GaugeMetricFamily("minitoolai_jobs", "Jobs that wait or are done.", labels=("engine", "state"))
        for labels, count in sorted(depths.items()):
            jobs.add_metric(labels, count)
        return [jobs]

    def _all(self) -> tuple[list[Figures], list[Figures]]:
        """Return the figures of all gateways there were, and of those that live."""
        own = self._metrics.path
        if own is None:
            figures = [self._metrics.figures()]
            return figures, figures
        every, living = [], []
        oldest = time.time() - YOUNG_S
        for file in sorted(own.parent.glob(f"*{own.suffix}")):
            found = read_figures(file)
            if found is not None:
                every.append(found)
                if file == own or file.stat().st_mtime >= oldest:
                    living.append(found)
        return every, living


class _Families(Collector):
    """What `prometheus_client` asks for."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(every: Sequence[Figures], living: Sequence[Figures]) -> Iterator[Metric]:
    pairs = [pair for figures in every for pair in figures.tallies]
    calls = [pair for pair in pairs if pair[0].outcome]
    for name, text, labels, of in _COUNTERS:
        family = CounterMetricFamily(f"minitoolai_{name}", text, labels=labels)
        for values, total in _sums(pairs if "route" in labels else calls, labels, of).items():
            family.add_metric(values, total)
        yield family
    tokens = CounterMetricFamily("minitoolai_tokens", "Tokens of settled calls.", labels=(*_ENGINE, "kind"))
    for kind, of in _TOKENS.items():
        for values, total in _sums(calls, _ENGINE, of).items():
            tokens.add_metric((*values, kind), total)
    yield tokens
    yield _histogram(
        "request_duration_seconds", "From a request's arrival to its end.", ("route", "model"), pairs,
        lambda tally: (tally.durations, tally.seconds),
    )  # fmt: skip
    yield _histogram(
        "time_to_first_token_seconds", "From a streamed call's arrival to its first content.", _ENGINE, calls,
        lambda tally: (tally.firsts, tally.first_seconds),
    )  # fmt: skip
    yield from _engines(every, living)
    yield from _processes(every, living)


def _engines(every: Sequence[Figures], living: Sequence[Figures]) -> Iterator[Metric]:
    failures = CounterMetricFamily("minitoolai_engine_failures", "Failed attempts.", labels=("engine", "error"))
    sums: dict[tuple[str, str], int] = {}
    for engine, code, times in (failure for figures in every for failure in figures.engine_failures):
        sums[engine, code] = sums.get((engine, code), 0) + times
    for labels, times in sorted(sums.items()):
        failures.add_metric(labels, times)
    yield failures
    states = GaugeMetricFamily(
        "minitoolai_engine_state", "Gateways whose breaker of the engine is so.", labels=("engine", "state")
    )
    for engine in sorted({name for figures in living for name in figures.engines}):
        for state in State:
            states.add_metric((engine, state), sum(figures.engines.get(engine) == state for figures in living))
    yield states


def _processes(every: Sequence[Figures], living: Sequence[Figures]) -> Iterator[Metric]:
    yield GaugeMetricFamily("minitoolai_gateways", "Gateway processes that live.", value=len(living))
    for name, (text, together) in _GAUGES.items():
        values = [figures.gauges[name] for figures in living if name in figures.gauges]
        if values:
            yield GaugeMetricFamily(f"minitoolai_{name}", text, value=together(values))
    counters: dict[str, float] = {}
    for figures in every:
        for name, value in figures.counters.items():
            counters[name] = counters.get(name, 0.0) + value
    yield CounterMetricFamily("minitoolai_cpu_seconds", "CPU time of the gateways.", value=counters.pop("cpu_seconds", 0.0))
    garbage = CounterMetricFamily("minitoolai_gc_collections", "Runs of Python's collector.", labels=("generation",))
    for name, value in sorted(counters.items()):
        garbage.add_metric((name.rpartition("_")[2],), value)
    yield garbage


def _server(state: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield what is the same for all gateways."""
    yield GaugeMetricFamily("minitoolai_database_up", "Whether the database answers.", value=state["database"] == "ok")
    ready = GaugeMetricFamily("minitoolai_engine_ready", "Whether a local engine is loaded.", labels=("engine",))
    for name, engine in state["engines"].items():
        if engine["state"] != "configured":
            ready.add_metric((name,), engine["state"] == "ready")
    yield ready
    working = [worker for worker in state["workers"].values() if worker["state"] == "ready"]
    yield GaugeMetricFamily("minitoolai_picture_workers", "Workers of this server.", value=len(working))
    info = GaugeMetricFamily("minitoolai_build_info", "The program.", labels=("version",))
    info.add_metric((__version__,), 1)
    yield info


def _histogram(
    name: str,
    text: str,
    labels: Sequence[str],
    pairs: Iterable[tuple[Key, Tally]],
    of: Callable[[Tally], tuple[list[int], float]],
) -> Metric:
    family = HistogramMetricFamily(f"minitoolai_{name}", text, labels=labels)
    found: dict[tuple[str, ...], tuple[list[int], float]] = {}
    for key, tally in pairs:
        values = _values(key, labels)
        (counts, seconds), (before, total) = of(tally), found.get(values, ([0] * len(_LE), 0.0))
        found[values] = ([one + other for one, other in zip(before, counts, strict=True)], total + seconds)
    for values, (buckets, total) in sorted(found.items()):
        if any(buckets):
            family.add_metric(values, list(zip(_LE, accumulate(buckets), strict=True)), total)
    return family


def _sums(
    pairs: Iterable[tuple[Key, Tally]], labels: Sequence[str], of: Callable[[Tally], float]
) -> dict[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = {}
    for key, tally in pairs:
        values = _values(key, labels)
        sums[values] = sums.get(values, 0) + of(tally)
    return dict(sorted(sums.items()))


def _values(key: Key, labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(getattr(key, label)) for label in labels)
