"""Pictures by the starter model: what our loop adds to the networks, and what the product makes of them end to end.

The first part draws in this process (`picture_loop`). The second runs `minitoolai serve` as a user does and asks it over
HTTP; when a job was made, begun and ended is read from the database, by its own clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import picture_loop
from benchmarks.build import BUILD
from benchmarks.processes import PRIORITY, favour
from benchmarks.product import Product, Times
from benchmarks.report import conditions
from minitoolai.runtime.catalogue import STARTER_NATIVE_SIZE, STARTER_PICTURE_MODEL

#: Where pictures are made.
PATH = "/api/texttoimage/"
#: The seed's defaults: 1024 x 1024, 4 steps, DPM++ SDE.
USUAL: dict[str, object] = {"model": "realvision", "prompt": "a red star on a blue ground"}
#: The smallest picture: what is timed by it is the way to it.
SMALLEST: dict[str, object] = {**USUAL, "width": 256, "height": 256, "steps": 1}
SETTINGS = f"""
[engines.pictures]
kind = "onnx"
model_path = "{STARTER_PICTURE_MODEL}"
[models.realvision]
engine = "pictures"
native_size = {STARTER_NATIVE_SIZE}
"""
#: Who is who among the processes, by a part of the command.
ROLES = {
    "gateway": "minitoolai.runtime.gateway",
    "worker": "minitoolai.runtime.worker",
    "child that draws": "children.onnx_pictures",
    "PostgreSQL": "postgres",
}


def middle_and_p99(times_s: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    ordered = sorted(times_s)
    return statistics.median(ordered) * 1000, ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] * 1000


def per_minute(jobs: Sequence[Times]) -> float:
    """Return the pictures a minute of jobs that waited for one another, from the first one's beginning."""
    return 60 * len(jobs) / (max(job.ended for job in jobs) - min(job.begun for job in jobs))


def measure(product: Product, starts: int, pictures: int) -> None:
    """Time the way to an idle worker, then a queue of pictures, and look at memory before and after."""
    print(f"MB in memory, RSS (most): {product.memory()}", flush=True)
    made, answered = [], []
    for _ in range(starts):
        began = time.perf_counter()
        made.append(product.post(PATH, SMALLEST))
        product.wait(PATH, made[-1])
        answered.append(time.perf_counter() - began)
    times = product.times(made)
    for what, seconds in {
        "made, to in the idle worker's hands": [job.begun - job.made for job in times],
        "begun, to stored and charged (256 x 256, 1 step)": [job.ended - job.begun for job in times],
        "asked over HTTP, to told of its end": answered,
    }.items():
        p50, p99 = middle_and_p99(seconds)
        print(f"{what:50} p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  of {starts}", flush=True)
    queue = [product.post(PATH, USUAL) for _ in range(pictures)]
    for job in queue:
        product.wait(PATH, job)
    times = product.times(queue)
    p50, p99 = middle_and_p99([job.ended - job.begun for job in times])
    print(f"1024 x 1024, 4 steps: {per_minute(times):.1f} pictures a minute; each p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    print(f"MB in memory, RSS (most): {product.memory()}", flush=True)


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("--here", type=int, default=10, metavar="N", help="pictures of each size drawn in this process (10)")
    parser.add_argument("--starts", type=int, default=100, metavar="N", help="smallest pictures, one after the other (100)")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="usual pictures in a queue (20)")
    parser.add_argument("--data", type=Path, default=BUILD / "pictures", metavar="DIR", help="folder for the product")
    options = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    print(conditions(options.data, Path(sys.executable)), flush=True)
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)  # the product inherits it
        favour([os.getpid()])
    print(picture_loop.HEADER, flush=True)
    for side, native_size in picture_loop.SHEETS:
        print(picture_loop.row(side, native_size, picture_loop.draw_here(side, native_size, options.here)), flush=True)
    product = Product(options.data, "pictures", ROLES, SETTINGS)
    with product.running():
        measure(product, options.starts, options.pictures)


if __name__ == "__main__":
    main()
