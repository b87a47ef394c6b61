"""The benchmark as a command: gateways side by side, one load after another, a table and JSON lines."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from benchmarks.build import BUILD, Upstream, programs, upstream
from benchmarks.coldstart import seconds_to_first_200
from benchmarks.gateways import PEERS, Gateway, Site, Start, Unavailable, litellm_command, ours
from benchmarks.measure import Load, Point, Result
from benchmarks.processes import favour, spent
from benchmarks.report import HEADER, conditions, ratios, row

PARTS = ("json", "sse", "slow", "cold")
CONNECTIONS = (1, 32, 128)
#: Streams held at once; the ladder is left where events come late.
SLOW_STREAMS = (50, 100, 200, 400, 800, 1200)
LATE_EVENT_MS = 50.0
COLD_STARTS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    parts: Sequence[str]
    connections: Sequence[int]
    slow_streams: Sequence[int]
    seconds: float
    warm_s: float
    peers: Sequence[str]
    #: Where our databases live: their disk is half of what a call waits for.
    data: Path
    #: Another checkout to measure side by side.
    against: Path | None
    #: The interpreter that runs ours.
    python: Path


def main() -> None:
    """Run what the options ask for. Exit status 1 when a call of ours failed."""
    plan = _plan()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    load = Load(programs()["gwload"], plan.seconds, plan.warm_s)
    file = BUILD / f"results-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.jsonl"
    with upstream(programs()["fakeup"]) as up, file.open("w", buffering=1) as out:
        print(conditions(plan.data, plan.python), flush=True)
        results = _side_by_side(plan, load, up, out)
        for line in ratios(results):
            print(line)
        if "cold" in plan.parts:
            _cold_starts(plan, up)
    print(f"JSON lines: {file}")
    if any(result.bad for result in results if result.gateway == "ours"):
        sys.exit("some calls failed: see the table")


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 s a load, one load of each kind")
    parser.add_argument("--only", default=",".join(PARTS), metavar="A,B", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, metavar="S", help="measured seconds of each load (8)")
    parser.add_argument("--peers", default="nginx", metavar="A,B", help="of nginx, litellm; '' for none (nginx)")
    parser.add_argument("--connections", metavar="N,N", help="JSON and fast streams (1,32,128)")
    parser.add_argument("--slow", metavar="N,N", help="slow streams held (50,100,200,400,800,1200)")
    parser.add_argument("--data", type=Path, default=BUILD, metavar="DIR", help="folder for our databases")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, measured side by side")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), metavar="FILE", help="what runs ours")
    options = parser.parse_args()
    parts, peers = _words(options.only), _words(options.peers)
    for known, words in ((PARTS, parts), (tuple(PEERS), peers)):
        for word in words:
            if word not in known:
                parser.error(f"'{word}' is none of {', '.join(known)}")
    quick = options.quick
    seconds = options.seconds or (2.0 if quick else 8.0)
    connections = [int(n) for n in _words(options.connections or "")] or ((32,) if quick else CONNECTIONS)
    slow = [int(n) for n in _words(options.slow or "")] or ((100,) if quick else SLOW_STREAMS)
    warm_s = min(2.0, seconds / 4)
    return Plan(parts, connections, slow, seconds, warm_s, peers, options.data, options.against, options.python)


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _side_by_side(plan: Plan, load: Load, up: Upstream, out: TextIO) -> list[Result]:
    """Start all gateways, then give each load to one after the other: they meet the same noise."""
    if not set(plan.parts) - {"cold"}:
        return []
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        gateways = [stack.enter_context(ours(up, plan.data / "ours", python=plan.python))]
        if plan.against is not None:
            gateways.append(stack.enter_context(ours(up, plan.data / "against", plan.against, plan.python)))
        gateways += _peers(plan, up, stack)
        for gateway in gateways:
            idle, books = spent(gateway.pids), spent(gateway.database_pids)
            print(f"{gateway.name} {gateway.version}: idle RSS {idle.rss_mb:.0f} MB" + _books(books.rss_mb))
        print(HEADER, flush=True)
        for point in _points(plan):
            for gateway in gateways:
                result = _run(load, gateway, point)
                out.write(result.line())
                print(row(result), flush=True)
                results.append(result)
        if "slow" in plan.parts:
            for gateway in gateways:
                results += _slow_ladder(plan, load, gateway, out)
    return results


def _books(rss_mb: float) -> str:
    return f", its supervisor and database {rss_mb:.0f} MB (pages they share counted for each)" if rss_mb else ""


def _peers(plan: Plan, up: Upstream, stack: contextlib.ExitStack) -> list[Gateway]:
    started = []
    for name in plan.peers:
        start: Start = PEERS[name]
        try:
            started.append(stack.enter_context(start(up)))
        except Unavailable as why:
            print(f"{name} is left out: {why}", flush=True)
    return started


def _points(plan: Plan) -> list[Point]:
    points = [Point(n) for n in plan.connections] if "json" in plan.parts else []
    if "sse" in plan.parts:
        points += [Point(n, stream=True) for n in plan.connections]
    return points


def _slow_ladder(plan: Plan, load: Load, gateway: Gateway, out: TextIO) -> list[Result]:
    """Hold more and more paced streams until their events come late."""
    results = []
    for streams in plan.slow_streams:
        result = _run(load, gateway, Point(streams, stream=True, slow=True))
        out.write(result.line())
        print(row(result), flush=True)
        results.append(result)
        if result.event_p99_ms is None or result.event_p99_ms > LATE_EVENT_MS:
            break
    return results


def _run(load: Load, gateway: Gateway, point: Point) -> Result:
    favour([os.getpid(), *gateway.pids, *gateway.database_pids])
    time.sleep(0.5)  # what the last load left behind is settled
    return load.run(gateway, point)


def _cold_starts(plan: Plan, up: Upstream) -> None:
    """Print the seconds from start to first answered call; ours has its database made already."""
    site = Site(plan.data / "ours", up, python=plan.python)
    log = BUILD / "coldstart.log"
    starts = {"ours": (site.serve(), site.environment, site.url, site.key)}
    if "litellm" in plan.peers:
        starts["litellm"] = litellm_command(up)
    for name, (command, environment, url, key) in starts.items():
        times = [seconds_to_first_200(command, url, key, log, environment) for _ in range(COLD_STARTS)]
        known = [one for one in times if one is not None]
        shown = f"median {statistics.median(known):.2f} s of {len(known)}" if known else f"none: see {log}"
        print(f"{name}: start to first 200 on one core, {shown}", flush=True)


if __name__ == "__main__":
    main()
