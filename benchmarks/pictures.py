"""Pictures by the starter model: what our loop adds to the networks, and what the product makes of them end to end.

The first part draws in this process (`picture_loop`). The second runs `minitoolai serve` as a user does and asks it over
HTTP; when a job was made, begun and ended is read from the database, by its own clock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import picture_loop
from benchmarks.build import BUILD, free_ports
from benchmarks.processes import PRIORITY, command_of, favour, spent, tree
from benchmarks.report import conditions
from minitoolai.runtime.catalogue import STARTER_NATIVE_SIZE, STARTER_PICTURE_MODEL
from minitoolai.runtime.postgres import running_url

#: The seed's defaults: 1024 x 1024, 4 steps, DPM++ SDE.
USUAL: dict[str, object] = {"model": "realvision", "prompt": "a red star on a blue ground"}
#: The smallest picture: what is timed by it is the way to it.
SMALLEST: dict[str, object] = {**USUAL, "width": 256, "height": 256, "steps": 1}
#: Seconds in which the product is there, and in which a job ends.
PATIENCE_S = 120.0
#: Far more than all pictures of a run cost.
CREDIT_USD = "1000"
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


@dataclass(frozen=True, slots=True)
class Times:
    """Moments of one job, in seconds of the database's clock."""

    made: float
    begun: float
    ended: float


def middle_and_p99(times_s: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    ordered = sorted(times_s)
    return statistics.median(ordered) * 1000, ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] * 1000


def per_minute(jobs: Sequence[Times]) -> float:
    """Return the pictures a minute of jobs that waited for one another, from the first one's beginning."""
    return 60 * len(jobs) / (max(job.ended for job in jobs) - min(job.begun for job in jobs))


class Product:
    """`minitoolai serve`, and a key of an account with credit."""

    def __init__(self, data: Path) -> None:
        self.data = data / "data"
        self._folder = data
        (self._port,) = free_ports(1)
        self.pid = 0
        data.mkdir(parents=True, exist_ok=True)
        (data / "minitoolai.toml").write_text(SETTINGS)
        self._key = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and stop it at the end."""
        with (self._folder / "server.log").open("ab") as log:
            serve = subprocess.Popen(
                self._command("serve", "--port", str(self._port)), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = serve.pid
        try:
            self._wait()
            favour(tree(self.pid))
            account = f"bench {time.time_ns()}"
            self._json("account", "create", account, "--credit", CREDIT_USD)
            self._key = str(self._json("key", "create", "--account", account)["key"])
            yield
        finally:
            serve.terminate()
            serve.wait()

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Make one call. Raises `RuntimeError` when it is refused."""
        status, answer = self._call("POST", path, json.dumps(body))
        if status != 200:
            raise RuntimeError(f"{path} answered {status}: {answer}")
        return answer

    def ask(self, asked: dict[str, object]) -> dict[str, Any]:
        """Ask for a picture; return the job."""
        return self.post("/api/texttoimage/", asked)

    def wait(self, job: dict[str, Any]) -> None:
        """Wait until a job is drawn. Raises `RuntimeError` when it is not."""
        told: dict[str, Any] = {}
        give_up = time.monotonic() + PATIENCE_S
        while told.get("status") != "success":
            if told.get("status") == "error" or time.monotonic() > give_up:
                raise RuntimeError(f"no picture: {told}")
            told = self.post("/api/texttoimage/jobs/", {"jobid": job["jobid"], "signature": job["signature"], "wait": 60})

    def times(self, jobs: Sequence[dict[str, Any]]) -> list[Times]:
        """Return the moments of jobs that have ended, in their order."""
        rows = asyncio.run(self._rows([job["jobid"] for job in jobs]))
        return [Times(*rows[job["jobid"]]) for job in jobs]

    def memory(self) -> str:
        """Return what its processes have in memory now, and had at most."""
        parts, pids = [], tree(self.pid)
        for role, mark in ROLES.items():
            found = spent([pid for pid in pids if mark in command_of(pid)])
            parts.append(f"{role} {found.rss_mb:.0f} ({found.peak_mb:.0f})")
        rest = spent(pids[:1])
        return ", ".join([*parts, f"supervisor {rest.rss_mb:.0f} ({rest.peak_mb:.0f})"])

    async def _rows(self, ids: Sequence[int]) -> dict[int, tuple[float, float, float]]:
        url = running_url(self.data)
        assert url is not None
        connection = await asyncpg.connect(url)
        try:
            moments = ", ".join(f"extract(epoch FROM {each})::float8" for each in ("created_at", "started_at", "ended_at"))
            rows = await connection.fetch(f"SELECT id, {moments} FROM jobs WHERE id = ANY ($1)", list(ids))
        finally:
            await connection.close()
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def _wait(self) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException, KeyError):
                _, ready = self._call("GET", "/readyz")
                if {ready["engines"]["pictures"]["state"], ready["workers"]["worker-0"]["state"]} == {"ready"}:
                    return
            if time.monotonic() > give_up:
                raise RuntimeError(f"it does not draw: see {self._folder / 'server.log'}")
            time.sleep(0.1)

    def _call(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._key}"}
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, json.load(reply)
        finally:
            connection.close()

    def _command(self, *words: str) -> list[str]:
        places = ["--config", str(self._folder / "minitoolai.toml"), "--data-dir", str(self.data)]
        return [sys.executable, "-m", "minitoolai.cli.main", *words, *places]

    def _json(self, *words: str) -> dict[str, Any]:
        done = subprocess.run([*self._command(*words), "--json"], capture_output=True, text=True, timeout=120, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def measure(product: Product, starts: int, pictures: int) -> None:
    """Time the way to an idle worker, then a queue of pictures, and look at memory before and after."""
    print(f"MB in memory, RSS (most): {product.memory()}", flush=True)
    made, answered = [], []
    for _ in range(starts):
        began = time.perf_counter()
        made.append(product.ask(SMALLEST))
        product.wait(made[-1])
        answered.append(time.perf_counter() - began)
    times = product.times(made)
    for what, seconds in {
        "made, to in the idle worker's hands": [job.begun - job.made for job in times],
        "begun, to stored and charged (256 x 256, 1 step)": [job.ended - job.begun for job in times],
        "asked over HTTP, to told of its end": answered,
    }.items():
        p50, p99 = middle_and_p99(seconds)
        print(f"{what:50} p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  of {starts}", flush=True)
    queue = [product.ask(USUAL) for _ in range(pictures)]
    for job in queue:
        product.wait(job)
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
    product = Product(options.data)
    with product.running():
        measure(product, options.starts, options.pictures)


if __name__ == "__main__":
    main()
