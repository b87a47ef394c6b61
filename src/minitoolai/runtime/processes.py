"""One child process: how it is started, listened to and ended. No policy: restarts are the supervisor's.

Every child is in a session of its own, so that a terminal's Ctrl-C reaches the supervisor only, and none outlives us,
not even after `kill -9`: the kernel (Linux) or a small guard process (elsewhere) ends it, see `processes_launch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: The longest line kept from a child's output, in bytes; the rest of the line is dropped.
LINE_LIMIT_BYTES = 64 * 1024
#: After a child's end its output may be held open by a grandchild: read on for so long, in seconds.
LAST_OUTPUT_S = 1.0
#: How long a guard waits between the death signal and SIGKILL, in seconds. PostgreSQL needs 5 for an immediate stop.
DEATH_TIMEOUT_S = 8.0
#: Run before every command; see its docstring.
LAUNCHER = Path(__file__).with_name("processes_launch.py")

IsAlive = Callable[[], bool]
OnLine = Callable[[str, str], None]


@dataclass(frozen=True)
class ChildSpec:
    """What to run, as whom, and how to start, hear and stop it."""

    #: For logs and `state()`; unique in a supervisor.
    name: str
    #: The program and its arguments.
    command: Sequence[str]
    #: The whole environment: nothing is inherited.
    env: Mapping[str, str]
    #: Ids to run as; only root may name them. None: as ourselves.
    user: int | None = None
    group: int | None = None
    #: The folder to run in; None: ours.
    cwd: str | None = None
    #: Bits withheld from the files it makes.
    umask: int = 0o077
    #: Descriptors it inherits under the same numbers, at every start.
    pass_fds: Sequence[int] = ()
    #: Written to its standard input, which then stays open as a lifeline. None: standard input is empty.
    boot: bytes | None = None
    #: Asks it to stop; after `stop_timeout_s` seconds `quit_signal` follows.
    stop_signal: int = signal.SIGTERM
    stop_timeout_s: float = 10.0
    #: Ends it at once. If it is not SIGKILL, that follows after `quit_timeout_s` seconds.
    quit_signal: int = signal.SIGKILL
    quit_timeout_s: float = DEATH_TIMEOUT_S
    #: What it gets when we die.
    death_signal: int = signal.SIGKILL
    #: Whether whatever remains of its process group is killed at its end.
    kill_group: bool = True
    #: Children started one after another with the same non-empty value are stopped at the same time.
    together: str = ""
    #: Called with ("stdout" or "stderr", line); None: the lines go to the log under the child's name.
    on_line: OnLine | None = None
    #: Called in a thread before every start. Descriptors it returns are inherited once and closed here.
    before_start: Callable[[], Sequence[int] | None] | None = None
    #: Returns once it serves; called at every start with a function that tells whether it still runs.
    ready: Callable[[IsAlive], Awaitable[None]] | None = None
    #: Whether its end before it was ever ready is an error of `start` (True) or only a reason to try again.
    essential: bool = True
    #: Makes that error from the status in words and the last lines; None: `ChildFailed`.
    explain: Callable[[str, Sequence[str]], Exception] | None = None


def needs_guard() -> bool:
    """Whether this system has no parent-death signal, so that a guard process must stand in."""
    return sys.platform != "linux"


def launch_command(spec: ChildSpec, guard_fd: int | None) -> list[str]:
    """The launcher's command line for `spec`: its argument is the document that `processes_launch.main` reads."""
    if (spec.user is None) != (spec.group is None):
        raise ValueError(f"{spec.name}: user and group belong together")
    document = {
        "command": list(spec.command),
        "uid": spec.user,
        "gid": spec.group,
        "cwd": spec.cwd,
        "umask": spec.umask,
        "parent": os.getpid(),
        "death_signal": int(spec.death_signal),
        "death_timeout_s": DEATH_TIMEOUT_S,
        "guard_fd": guard_fd,
    }
    return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(document)]


def run_blocking(spec: ChildSpec, text: str = "", extra_fds: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end with `text` as its input; its output is in the answer, both streams together."""
    guard_read, guard_write = os.pipe() if needs_guard() else (None, None)
    passed = [*spec.pass_fds, *extra_fds, *([] if guard_read is None else [guard_read])]
    try:
        return subprocess.run(  # noqa: S603 - the commands are ours
            launch_command(spec, guard_read),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(spec.env),
            pass_fds=passed,
            start_new_session=True,
            text=True,
            errors="replace",
            check=False,
        )
    finally:
        for descriptor in (guard_read, guard_write):
            if descriptor is not None:
                os.close(descriptor)


class Process:
    """One life of one child. Made by `start`; everything here runs on the event loop's thread."""

    def __init__(self, spec: ChildSpec, popen: subprocess.Popen[bytes], guard_write: int | None) -> None:
        self.spec = spec
        self.pid = popen.pid
        #: Exit status, or minus the signal that ended it; None while it runs.
        self.status: int | None = None
        self._popen = popen
        self._guard_write = guard_write
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._outputs: list[_Lines] = []
        self._transports: list[asyncio.BaseTransport] = []
        self._lifeline: asyncio.WriteTransport | None = None

    @classmethod
    async def start(
        cls, spec: ChildSpec, on_line: OnLine, extra_fds: Sequence[int] = (), guard: bool | None = None
    ) -> Process:
        """Start `spec`. `guard` forces the guard process on or off (default: what this system needs).

        Raises OSError when no process can be made; a command that cannot be run ends with status 126 or 127.
        """
        if threading.current_thread() is not threading.main_thread():
            # Linux sends the death signal when the *thread* that started the child ends.
            raise RuntimeError("child processes must be started from the main thread")
        guard_read, guard_write = os.pipe() if (needs_guard() if guard is None else guard) else (None, None)
        try:
            popen = subprocess.Popen(  # noqa: S603, ASYNC220 - ours, and it must be this thread (see above)
                launch_command(spec, guard_read),
                stdin=subprocess.DEVNULL if spec.boot is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(spec.env),
                pass_fds=[*spec.pass_fds, *extra_fds, *([] if guard_read is None else [guard_read])],
                start_new_session=True,
            )
        except OSError:
            if guard_write is not None:
                os.close(guard_write)
            raise
        finally:
            if guard_read is not None:
                os.close(guard_read)
        process = cls(spec, popen, guard_write)
        threading.Thread(target=process._watch, name=f"wait-{spec.name}", daemon=True).start()
        try:
            await process._connect(on_line)
        except BaseException:
            process.signal(signal.SIGKILL)
            raise
        return process

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs. SIGKILL goes to its whole process group."""
        if self.status is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)  # with its guard, which could not hand SIGKILL on
            else:
                os.kill(self.pid, number)

    def close_lifeline(self) -> None:
        """End its standard input: a child that listens to it ends."""
        if self._lifeline is not None:
            self._lifeline.close()

    async def wait(self) -> int:
        """Its exit status, or minus the signal that ended it, once its last output was read."""
        status = await asyncio.shield(self._ended)
        if self._outputs:
            await asyncio.wait([lines.closed for lines in self._outputs], timeout=LAST_OUTPUT_S)
        for transport in self._transports:
            transport.close()
        return status

    async def _connect(self, on_line: OnLine) -> None:
        """Read both outputs by lines; write the boot document and keep the lifeline."""
        for stream, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr)):
            assert pipe is not None
            lines = _Lines(stream, on_line, self._loop.create_future())
            transport, _ = await self._loop.connect_read_pipe(functools.partial(_the_same, lines), pipe)
            self._outputs.append(lines)
            self._transports.append(transport)
        if self._popen.stdin is not None and self.spec.boot is not None:
            self._lifeline, _ = await self._loop.connect_write_pipe(asyncio.BaseProtocol, self._popen.stdin)
            self._lifeline.write(self.spec.boot)
            self._transports.append(self._lifeline)

    def _watch(self) -> None:
        """In a thread: wait for the end without reaping, so that the pid stays ours while signals may be sent."""
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:  # macOS before Python 3.13
            self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is gone: so are we, soon
            self._loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        """On the loop: take the status, end the rest of the group, let go of the guard's pipe."""
        if self.spec.kill_group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.status = self._popen.wait()
        if self._guard_write is not None:
            os.close(self._guard_write)
            self._guard_write = None
        if not self._ended.done():
            self._ended.set_result(self.status)


def _the_same(lines: _Lines) -> _Lines:
    """A protocol factory for a protocol that is there already."""
    return lines


class _Lines(asyncio.Protocol):
    """Cuts a child's output into lines."""

    def __init__(self, stream: str, on_line: OnLine, closed: asyncio.Future[None]) -> None:
        self.closed = closed
        self._stream = stream
        self._on_line = on_line
        self._rest = b""
        self._dropping = False

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._dropping:
                self._emit(line)
            self._dropping = False
        if len(self._rest) > LINE_LIMIT_BYTES:
            if not self._dropping:
                self._emit(self._rest[:LINE_LIMIT_BYTES])
            self._rest, self._dropping = b"", True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest and not self._dropping:
            self._emit(self._rest)
        if not self.closed.done():
            self.closed.set_result(None)

    def _emit(self, line: bytes) -> None:
        self._on_line(self._stream, line.decode("utf-8", "replace").rstrip("\r"))
