"""`minitoolai serve` as a user runs it, with a key of an account with credit; asked over HTTP, seen through /proc."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.build import free_ports
from benchmarks.processes import command_of, favour, spent, tree
from minitoolai.runtime.postgres import running_url

#: Seconds in which the product is there, and in which a job ends.
PATIENCE_S = 120.0
#: Far more than all calls of a run cost.
CREDIT_USD = "1000"


@dataclass(frozen=True, slots=True)
class Times:
    """Moments of one job, in seconds of the database's clock."""

    made: float
    begun: float
    ended: float


class Product:
    """A server of this checkout."""

    def __init__(self, data: Path, engine: str, roles: Mapping[str, str], settings: str = "") -> None:
        """`engine`: which has to be ready; `roles`: who is who among the processes, by a part of the command."""
        self.data = data / "data"
        self._folder = data
        self._engine = engine
        self._roles = roles
        (self.port,) = free_ports(1)
        self.pid = 0
        data.mkdir(parents=True, exist_ok=True)
        (data / "minitoolai.toml").write_text(settings)
        self.key = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and stop it at the end."""
        with (self._folder / "server.log").open("ab") as log:
            serve = subprocess.Popen(
                self._command("serve", "--port", str(self.port)), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = serve.pid
        try:
            self._wait()
            favour(tree(self.pid))
            account = f"bench {time.time_ns()}"
            self._json("account", "create", account, "--credit", CREDIT_USD)
            self.key = str(self._json("key", "create", "--account", account)["key"])
            yield
        finally:
            serve.terminate()
            serve.wait()

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Make one call. Raises `RuntimeError` when it is refused."""
        status, answer = self._call("POST", path, json.dumps(body))
        if status not in (200, 202):
            raise RuntimeError(f"{path} answered {status}: {answer}")
        return answer

    def wait(self, path: str, job: Mapping[str, Any]) -> None:
        """Wait until a job that was made at `path` is done. Raises `RuntimeError` when it fails."""
        told: dict[str, Any] = {}
        give_up = time.monotonic() + PATIENCE_S
        while told.get("status") != "success":
            if told.get("status") == "error" or time.monotonic() > give_up:
                raise RuntimeError(f"the job is not done: {told}")
            told = self.post(f"{path}jobs/", {"jobid": job["jobid"], "signature": job["signature"], "wait": 60})

    def times(self, jobs: Sequence[Mapping[str, Any]]) -> list[Times]:
        """Return the moments of jobs that have ended, in their order."""
        rows = asyncio.run(self._rows([job["jobid"] for job in jobs]))
        return [Times(*rows[job["jobid"]]) for job in jobs]

    def pids(self) -> dict[str, list[int]]:
        """Return its processes by their roles, and the supervisor."""
        pids = tree(self.pid)
        found = {role: [pid for pid in pids if mark in command_of(pid)] for role, mark in self._roles.items()}
        return {**found, "supervisor": pids[:1]}

    def memory(self) -> str:
        """Return what its processes have in memory now, and had at most."""
        used = {role: spent(pids) for role, pids in self.pids().items()}
        return ", ".join(f"{role} {each.rss_mb:.0f} ({each.peak_mb:.0f})" for role, each in used.items())

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
                if {ready["engines"][self._engine]["state"], ready["workers"]["worker-0"]["state"]} == {"ready"}:
                    return
            if time.monotonic() > give_up:
                raise RuntimeError(f"it is not ready: see {self._folder / 'server.log'}")
            time.sleep(0.1)

    def _call(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
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
