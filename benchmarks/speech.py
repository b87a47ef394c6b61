"""Speech by espeak-ng: how soon callers hear the first sound, and what a second of it costs.

The first part asks the child alone. The second runs `minitoolai serve` as a user does and asks it over HTTP, with more
and more callers at once, and then for a long text as a job.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import speech_child
from benchmarks.build import BUILD
from benchmarks.processes import PRIORITY, core_busy_s, favour, spent
from benchmarks.product import Product
from benchmarks.report import conditions
from benchmarks.speech_callers import SENTENCES, Call, Callers, percentile

PATH = "/api/texttospeech/"
CALLERS = (1, 5, 20, 50)
FORMATS = ("mp3", "pcm")
#: Characters of the text that is a job: the most there may be.
JOB_CHARACTERS = 100_000
#: Who is who among the processes, by a part of the command.
ROLES = {
    "gateway": "minitoolai.runtime.gateway",
    "worker": "minitoolai.runtime.worker",
    "child": "children.espeak",
    "PostgreSQL": "postgres",
}
#: Forks of the child end before anybody can look: what the machine did beyond all that is known, is theirs and others'.
FORKS = "forks, others"
#: Whose processor time the table has.
COSTS = ("gateway", "child", FORKS, "PostgreSQL", "callers")
HEADER = (
    f"{'callers':>7} {'format':6} {'calls':>6} {'first p50':>9} {'p95 ms':>8} {'p99 ms':>8} {'burst':>8} {'sound s/s':>9} "
    "processor ms a second of sound"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one load gave."""

    callers: int
    file_format: str
    seconds: float
    calls: Sequence[Call]
    #: To the last one's first sound, where all began at once, before the measured time.
    burst_s: float
    #: Seconds of processor by role, over the load with its beginning and end, and seconds of sound in that time.
    costs_s: Mapping[str, float]
    costed_sound_s: float

    def row(self) -> str:
        """Return one line of the table. Raises `ValueError` where no call ended."""
        first = [1000 * call.first_s for call in self.calls]
        p50, p95, p99 = (percentile(first, share) for share in (0.5, 0.95, 0.99))
        rate = sum(call.sound_s for call in self.calls) / self.seconds
        costs = ", ".join(f"{role} {1000 * self.costs_s[role] / self.costed_sound_s:.2f}" for role in COSTS)
        return (
            f"{self.callers:7d} {self.file_format:6} {len(self.calls):6d} {p50:9.1f} {p95:8.1f} {p99:8.1f} "
            f"{1000 * self.burst_s:8.1f} {rate:9.0f} {costs}"
        )


def busy_s(product: Product) -> dict[str, float]:
    """Return the seconds of processor that each role has used since the machine started."""
    used = {role: spent(pids).cpu_s for role, pids in product.pids().items()}
    used["callers"] = time.process_time()
    everybody = sum(core_busy_s(core) for core in range(os.cpu_count() or 1))
    return {**used, FORKS: everybody - sum(used.values())}


def load(product: Product, callers: int, file_format: str, seconds: float) -> Result:
    """Let so many callers call for so long, after a quarter of it as warm-up."""
    before, warm = busy_s(product), time.perf_counter() + seconds / 4
    each = asyncio.run(Callers(product.port, product.key, callers, file_format).run(1.25 * seconds))
    costs = {role: used - before[role] for role, used in busy_s(product).items()}
    every = [call for calls in each for call in calls]
    measured = [call for call in every if warm <= call.ended <= warm + seconds]
    burst_s = max(calls[0].first_s for calls in each)
    return Result(callers, file_format, seconds, measured, burst_s, costs, sum(call.sound_s for call in every))


def job(product: Product) -> str:
    """Have the longest text spoken as a job; return what it took."""
    text = (" ".join(SENTENCES) + " ") * (JOB_CHARACTERS // 100)
    made = product.post(PATH, {"model": "espeak-ng", "text": text[:JOB_CHARACTERS], "format": "mp3"})
    product.wait(PATH, made)
    (times,) = product.times([made])
    return f"a job of {JOB_CHARACTERS:,} characters, mp3: {times.ended - times.begun:.1f} s from begun to stored and charged"


def measure(product: Product, callers: Sequence[int], seconds: float) -> None:
    """Print the table of callers, the job, and memory before and after each."""
    print(f"MB in memory, RSS (most): {product.memory()}", flush=True)
    print(HEADER, flush=True)
    for file_format in FORMATS:
        for number in callers:
            time.sleep(0.5)  # what the last load left behind is settled
            print(load(product, number, file_format, seconds).row(), flush=True)
    print(f"MB in memory, RSS (most): {product.memory()}", flush=True)
    print(job(product), flush=True)
    print(f"MB in memory, RSS (most): {product.memory()}", flush=True)


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=__doc__)
    parser.add_argument("--times", type=int, default=30, metavar="N", help="calls of each kind to the child alone (30)")
    parser.add_argument("--callers", default=",".join(map(str, CALLERS)), metavar="N,N", help="at once (1,5,20,50)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each load, before them a quarter (10)")
    parser.add_argument("--data", type=Path, default=BUILD / "speech", metavar="DIR", help="folder for the product")
    options = parser.parse_args()
    callers = [int(number) for number in options.callers.split(",")]
    options.data.mkdir(parents=True, exist_ok=True)
    BUILD.mkdir(exist_ok=True)
    print(conditions(options.data, Path(sys.executable)), flush=True)
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)  # the product inherits it
        favour([os.getpid()])
    for line in speech_child.measure(options.times):
        print(line, flush=True)
    product = Product(options.data, "espeak", ROLES)
    with product.running():
        measure(product, callers, options.seconds)


if __name__ == "__main__":
    main()
