"""Client programs in an environment of their own: started once, asked scenario by scenario, answers as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-clients"
#: A scenario that takes longer hangs: the longest waits for a few retries.
PATIENCE_S = 60.0


def client_command(name: str) -> str:
    """Return the path of a command of the clients' environment; skips the test where that is not installed."""
    stamp = ".installed-node" if name == "node" else ".installed-clients"
    if not (ENVIRONMENT / stamp).exists():
        pytest.skip("THE CLIENT PROGRAMS ARE NOT INSTALLED, THIS WAS NOT TESTED: run scripts/test")
    return str(ENVIRONMENT / "bin" / name)


def client_environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the variables of a client program: nothing of this machine's but its commands and its home in `folder`."""
    path = os.pathsep.join([str(ENVIRONMENT / "bin"), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", **more}


class ClientProgram:
    """One running program (`tests/clients/programs`, `tests/clients/node`)."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def ask(self, scenario: str, /, **arguments: object) -> Any:
        """Have `scenario` done and return what it found; fails with the program's own trace where it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = threading.Timer(PATIENCE_S, self._process.kill)
        end.start()
        try:
            self._process.stdin.write(json.dumps({"scenario": scenario, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            end.cancel()
        assert line, f"{scenario}: the program ended or took over {PATIENCE_S} s:\n{self._log.read_text()[-4000:]}"
        answer = json.loads(line)
        assert "failed" not in answer, f"{scenario}:\n{answer['failed']}"
        return answer["result"]


@contextlib.contextmanager
def client_program(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[ClientProgram]:
    """A program that ends with the block."""
    log = folder / "client.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        with process:
            yield ClientProgram(process, log)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(PATIENCE_S)
    finally:
        process.kill()
