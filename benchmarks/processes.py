"""Processes of a run: started on one core, looked at through /proc, ended by the ids that we were given."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

#: The gateway under test has the one core; load client, fake upstream and database have the other.
GATEWAY_CORE = 0
OTHER_CORE = 1
#: Against other work on the machine; only root may ask for it.
PRIORITY = -15
STOP_TIMEOUT_S = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


def at_home(command: Sequence[str], core: int) -> list[str]:
    """Return `command` so that it runs on one core, and with priority where we may give it."""
    prefix = ["taskset", "-c", str(core)]
    if os.geteuid() == 0:
        prefix = ["nice", "-n", str(PRIORITY), *prefix]
    return [*prefix, *command]


class Child:
    """One process that we started, with its descendants."""

    def __init__(
        self, command: Sequence[str], core: int, log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                at_home(command, core), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
            )
        self.pid = self._process.pid

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end; kill it and what it started when it does not."""
        if not self.alive:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for pid in reversed(tree(self.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-2000:]


@dataclass(frozen=True, slots=True)
class Spent:
    """What some processes have used so far."""

    cpu_s: float
    #: Memory that they have in RAM now, and the sum of the most that each had.
    rss_mb: float
    peak_mb: float


def spent(pids: Sequence[int]) -> Spent:
    """Return what `pids` have used; one that has gone counts nothing."""
    cpu_ns = rss_kb = peak_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                cpu_ns += int((thread / "schedstat").read_text().split()[0])
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    rss_kb += int(line.split()[1])
                elif line.startswith("VmHWM:"):
                    peak_kb += int(line.split()[1])
    return Spent(cpu_ns / 1e9, rss_kb / 1024, peak_kb / 1024)


def core_busy_s(core: int) -> float:
    """Return the seconds that a core has worked for anyone since the machine started."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            fields = [int(field) for field in line.split()[1:9]]
            idle, waiting = fields[3], fields[4]
            return (sum(fields) - idle - waiting) / _TICKS
    raise ValueError(f"there is no core {core}")


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for known in found:
        found.extend(children.get(known, ()))
    return found


def command_of(pid: int) -> str:
    """Return a process's command line, "" when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def pin(pid: int, core: int) -> None:
    """Move a process with all its threads to one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def favour(pids: Iterable[int]) -> None:
    """Give the sessions of `pids` priority (Linux): `nice` counts within a session only where autogroups are on."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(PRIORITY))


def program(name: str) -> str | None:
    """Return the path of a program, also where only root looks for it, or None."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
