"""The table of a run, and the ratios between gateways that were measured side by side."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Result

_WRITES = 100
#: Objects, dicts and generators, as in a call: what an interpreter's build changes most.
_SPEED = """
import platform, time
class Pair:
    __slots__ = ("a", "b")
    def __init__(self, a, b):
        self.a, self.b = a, b
def work():
    for i in range(50000):
        pair = Pair(i, i + 1)
        sum(value for value in {"a": pair.a, "b": pair.b}.values())
def timed():
    began = time.process_time()
    work()
    return time.process_time() - began
print(platform.python_version(), round(1000 * min(timed() for _ in range(5)), 1))
"""
HEADER = (
    f"{'gateway':8} {'load':9} {'per s':>9} {'p50 ms':>8} {'p99 ms':>8} {'first':>7} {'ev p50':>7} {'ev p99':>7} "
    f"{'µs/call':>8} {'db µs':>7} {'cores':>5} {'other':>5} {'RSS':>5} {'peak':>5} {'bad':>4}"
)


def row(result: Result) -> str:
    """Return one line of the table."""
    return (
        f"{result.gateway:8} {result.label:9} {result.per_s:9.1f} {result.p50_ms:8.2f} {result.p99_ms:8.2f} "
        f"{result.first_p50_ms:7.2f} {_or_dash(result.event_p50_ms, 7, 2)} {_or_dash(result.event_p99_ms, 7, 2)} "
        f"{_or_dash(result.gateway_us, 8, 0)} {_or_dash(result.database_us, 7, 0)} {result.gateway_cores:5.2f} "
        f"{result.other:5.2f} {result.rss_mb:5.0f} {result.peak_mb:5.0f} {result.bad:4d}"
        + (f"  {result.first_bad[:80]}" if result.bad and result.first_bad else "")
    )


def ratios(results: Sequence[Result], mine: str = "ours") -> list[str]:
    """Return how `mine` stands to each other gateway at the points that both ran."""
    own = {result.label: result for result in results if result.gateway == mine}
    lines = []
    for result in results:
        base = own.get(result.label)
        if result.gateway == mine or base is None or not result.per_s:
            continue
        line = f"{mine} / {result.gateway:8} {result.label:9} per s × {base.per_s / result.per_s:.3f}"
        if base.gateway_us and result.gateway_us:
            line += f", CPU a call × {base.gateway_us / result.gateway_us:.2f}"
        lines.append(f"{line}, p50 {base.p50_ms - result.p50_ms:+.2f} ms")
    return lines


def conditions(data: Path, python: Path) -> str:
    """Return the machine and the moment: what a figure means nothing without.

    `data`: where our databases live. `python`: what runs ours.
    """
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _lines(Path("/proc/cpuinfo"))
            if line.startswith(("model name", "Model"))
        ),
        platform.machine(),
    )
    load = " ".join(f"{share:.1f}" for share in os.getloadavg())
    return (
        f"{time.strftime('%F %R UTC', time.gmtime())}; {os.cpu_count()} cores of {cpu}, Linux {platform.release()}; "
        f"load average {load}\n"
        f"ours runs by {_interpreter(python)}\n"
        f"busiest beside us: {'; '.join(_busiest())}\n"
        f"a durable write of 8 KB in {data} takes {_durable_write_ms(data):.2f} ms (median of {_WRITES})"
    )


def _interpreter(python: Path) -> str:
    """Return an interpreter's version and speed: one built without profiling (pyenv's default) is a third slower."""
    done = subprocess.run([str(python), "-c", _SPEED], capture_output=True, text=True, check=True)
    return f"Python {done.stdout.strip()} ms for a fixed loop"


def _durable_write_ms(folder: Path) -> float:
    """Return what a commit waits for at least: the median of some writes with fdatasync."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(1 << 20))
        os.fsync(file.fileno())
        times = []
        for _ in range(_WRITES):
            file.seek(0)
            file.write(bytes(8192))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def _busiest(most: int = 3) -> list[str]:
    """Return the processes that used most CPU lately, as `ps` sees it."""
    said = subprocess.run(
        ["ps", "-eo", "pcpu,ni,comm", "--sort=-pcpu", "--no-headers"], capture_output=True, text=True, check=False
    )
    return [" ".join(line.split()) for line in said.stdout.splitlines()[:most]] or ["unknown"]


def _or_dash(value: float | None, width: int, digits: int) -> str:
    return f"{'–':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
