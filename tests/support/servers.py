"""The product as a real process: `minitoolai serve` on a free port, and its commands beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_START_TIMEOUT_S = 60.0


class ProductServer:
    """One `minitoolai serve` and its data folder."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.config = folder / "minitoolai.toml"
        self.config.write_text("")
        self.log = folder / "server.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        if database_url is not None:
            self.environment["MINITOOLAI_DATABASE__URL"] = database_url

    @property
    def base(self) -> str:
        """The server's URL without a path."""
        return f"http://127.0.0.1:{self.port}"

    def configure(self, text: str) -> None:
        """Write the settings file."""
        self.config.write_text(text)

    def use_upstream(self, url: str, *, models: tuple[str, ...] = ("gpt-4o-mini", "gpt-4o"), more: str = "") -> None:
        """Serve `models` by the OpenAI-compatible server at `url`; `more` is appended to the engine's table."""
        tables = "".join(f'[models."{name}"]\nengine = "up"\n' for name in models)
        self.configure(f'[engines.up]\nkind = "openai"\nbase_url = "{url}"\n{more}\n{tables}')

    def start(self, *arguments: str) -> None:
        """Start the server and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "minitoolai.cli.main", "serve", "--port", "0", *self._common(), *arguments],
                env=self.environment, stdout=subprocess.PIPE, stderr=log, cwd=self.folder,
            )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(b"MiniToolAI serves on "):
                self.port = int(line.rsplit(b":", 1)[1])
                break
        else:
            raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")
        self.wait_ready()

    def wait_ready(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until `/readyz` answers 200."""
        give_up = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(f"{self.base}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > give_up:
                    raise AssertionError(f"not ready:\n{self.log.read_text()[-4000:]}") from None
                time.sleep(0.05)

    def wait_engine(self, name: str, state: str = "ready", timeout_s: float = _START_TIMEOUT_S) -> dict[str, Any]:
        """Wait until `/readyz` reports `state` of an engine; return what it says of it."""
        return self._wait_child("engines", name, state, timeout_s)

    def wait_worker(self, name: str, state: str = "ready", timeout_s: float = _START_TIMEOUT_S) -> dict[str, Any]:
        """Wait until `/readyz` reports `state` of a worker; return what it says of it."""
        return self._wait_child("workers", name, state, timeout_s)

    def _wait_child(self, kind: str, name: str, state: str, timeout_s: float) -> dict[str, Any]:
        give_up = time.monotonic() + timeout_s
        while True:
            with urllib.request.urlopen(f"{self.base}/readyz", timeout=5) as reply:
                child: dict[str, Any] = json.load(reply)[kind].get(name, {"state": "absent"})
            if child["state"] == state:
                return child
            assert time.monotonic() < give_up, f"{name} of the {kind} is {child}"
            time.sleep(0.05)

    def gateway_pids(self) -> list[int]:
        """Return the process ids of the gateways."""
        assert self.process is not None
        return [pid for pid in children_of(self.process.pid) if "minitoolai.runtime.gateway" in command_of(pid)]

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `minitoolai …` beside the server."""
        done = subprocess.run(
            [sys.executable, "-m", "minitoolai.cli.main", *arguments, *self._common()],
            env=self.environment, capture_output=True, text=True, cwd=self.folder, timeout=120, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def json(self, *arguments: str) -> Any:
        """Run `minitoolai … --json` and return its answer."""
        return json.loads(self.command(*arguments, "--json").stdout)

    def make_key(self, credit_usd: str = "5.00", account: str = "test", **options: str) -> str:
        """Make an account with credit (once) and return a new key of it."""
        if account not in {row["name"] for row in self.json("account", "list")}:
            self.json("account", "create", account, "--credit", credit_usd)
        more = [part for name, value in options.items() for part in (f"--{name}", value)]
        return str(self.json("key", "create", "--account", account, *more)["key"])

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 60.0) -> int:
        """Stop the server; return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def _common(self) -> list[str]:
        return ["--config", str(self.config), "--data-dir", str(self.data_dir)]


@contextlib.contextmanager
def product_server(folder: Path, database_url: str | None) -> Iterator[ProductServer]:
    """A server that is stopped at the end, whatever became of it."""
    server = ProductServer(folder, database_url)
    try:
        yield server
    finally:
        if server.process is not None:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process (Linux)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def command_of(pid: int) -> str:
    """Return a process's command line, "" when it has gone (Linux)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
