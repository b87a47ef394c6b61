"""One timed run of the load client against one gateway, and what the machine spent on it."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.gateways import Gateway
from benchmarks.processes import GATEWAY_CORE, OTHER_CORE, Spent, at_home, core_busy_s, spent

#: A closed-loop run ends on time by itself; this is for a load client that hangs.
MARGIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """What is asked of a gateway: how many connections, each one call after another."""

    connections: int
    stream: bool = False
    #: By the upstream that sends an event each 5 ms.
    slow: bool = False

    @property
    def label(self) -> str:
        """Its name in tables."""
        kind = "slow" if self.slow else "sse" if self.stream else "json"
        return f"{kind} c{self.connections}"


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave. Times in milliseconds, CPU in microseconds a finished call."""

    gateway: str
    label: str
    at: str
    per_s: float
    p50_ms: float
    p99_ms: float
    #: To the first byte of a reply, the first event of a stream.
    first_p50_ms: float
    #: From the upstream's send of an event to the caller's receipt; None where nothing is paced.
    event_p50_ms: float | None
    event_p99_ms: float | None
    #: Calls that did not end in 200, or streams that did not end in [DONE].
    bad: int
    first_bad: str
    gateway_us: float | None
    database_us: float | None
    #: Cores that the gateway used, and the share of its core that something else took.
    gateway_cores: float
    other: float
    rss_mb: float
    peak_mb: float

    def line(self) -> str:
        """Return the result as a JSON line."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True, slots=True)
class Load:
    """The load client and how long it runs."""

    program: Path
    seconds: float
    warm_s: float

    def run(self, gateway: Gateway, point: Point) -> Result:
        """Run one point. Raises `CalledProcessError`, `TimeoutExpired`, `ValueError` on a broken load client."""
        command = [str(self.program), "-d", str(self.seconds), "-w", str(self.warm_s), "-c", str(point.connections)]
        command += ["-m", "slow" if point.slow else "fake"]
        command += ["-s"] if point.stream else []
        command += ["-k", gateway.key] if gateway.key else []
        command.append(gateway.slow_url if point.slow else gateway.fast_url)
        before, books_before = spent(gateway.pids), spent(gateway.database_pids)
        busy, began = core_busy_s(GATEWAY_CORE), time.monotonic()
        done = subprocess.run(
            at_home(command, OTHER_CORE),
            capture_output=True,
            check=True,
            timeout=self.seconds + self.warm_s + MARGIN_S,
        )
        took, busy = time.monotonic() - began, core_busy_s(GATEWAY_CORE) - busy
        after, books_after = spent(gateway.pids), spent(gateway.database_pids)
        answer: dict[str, Any] = json.loads(done.stdout)
        return _result(gateway, point, answer, before, after, books_after.cpu_s - books_before.cpu_s, busy=busy, took=took)


def _result(
    gateway: Gateway,
    point: Point,
    answer: dict[str, Any],
    before: Spent,
    after: Spent,
    books_s: float,
    *,
    busy: float,
    took: float,
) -> Result:
    calls = answer["total"]  # all that finished, warm-up included
    cpu_s = after.cpu_s - before.cpu_s
    delay = answer.get("chunk_delay_ms", {})
    return Result(
        gateway=gateway.name,
        label=point.label,
        at=time.strftime("%FT%TZ", time.gmtime()),
        per_s=answer["per_s"],
        p50_ms=answer["lat_ms"]["p50"],
        p99_ms=answer["lat_ms"]["p99"],
        first_p50_ms=answer["ttft_ms"]["p50"],
        event_p50_ms=delay.get("p50"),
        event_p99_ms=delay.get("p99"),
        bad=answer["bad"] + answer["incomplete"] + answer["connerr"],
        first_bad=answer.get("first_bad", ""),
        gateway_us=round(cpu_s * 1e6 / calls, 1) if calls else None,
        database_us=round(books_s * 1e6 / calls, 1) if calls and gateway.database_pids else None,
        gateway_cores=round(cpu_s / took, 2),
        other=round(max(0.0, busy - cpu_s) / took, 2),
        rss_mb=round(after.rss_mb, 1),
        peak_mb=round(after.peak_mb, 1),
    )
