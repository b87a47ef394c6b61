"""What programs that look at callers' files do the same: a file is a program for a parser written in C.

So each is looked at in a fork of its own, without a network, with limits on memory and time. The wire is
`core/child_wire`: the file behind its length, back comes one frame. Boot document: `{"socket": "…"}`. Events: `ready`,
`failed` (`boot_invalid`, `decoder_missing`). What must never enter: threads, which a fork would lose.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from minitoolai.children import isolation, lifeline
from minitoolai.children.program import BootDocument
from minitoolai.children.report import BootError, Report
from minitoolai.children.serving import listen
from minitoolai.core.child_wire import LENGTH

#: Forks side by side: what few cores do, and what the memory of a small machine has room for.
LEAST_AT_ONCE, MOST_AT_ONCE = 2, 4
#: How a fork ends whose file is refused as too much: any other failure is the file's fault as well.
_TOO_MUCH_STATUS = 3
#: Signals by which a fork dies of its file; by any other it was killed, and the caller may try again.
_DEATHS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


class TooMuch(Exception):
    """A file is more than may be looked at."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one kind of file is looked at."""

    #: Makes the answer's frame of a file's bytes. Raises `TooMuch`, `MemoryError`, or whatever the parser does.
    answer: Callable[[bytes], bytes]
    #: Bytes of a file at most.
    most_bytes: int
    #: Address space of one fork.
    memory_bytes: int
    #: Seconds of processor, and of waiting, for one file.
    cpu_s: int
    wall_s: int
    #: The answers to a file that the parser failed at, and to one that is more than may be looked at.
    damaged: bytes
    too_much: bytes

    def died(self, status: int) -> bytes | None:
        """Return what is answered for a fork that ended so; None: it has answered itself, or was killed."""
        if status == 0 or (status < 0 and -status not in (*_DEATHS, signal.SIGXCPU)):
            return None
        return self.too_much if status in (_TOO_MUCH_STATUS, -signal.SIGXCPU) else self.damaged


class Forks:
    """A listening socket, and one fork for each file that came in by it."""

    def __init__(self, listener: socket.socket, look: Look, at_once: int) -> None:
        self._listener = listener
        self._look = look
        self._at_once = at_once
        self._running: dict[int, socket.socket] = {}
        self._woken, wake = socket.socketpair()
        for end in (self._woken, wake):
            end.setblocking(False)
        self._wake = wake

    def serve(self) -> NoReturn:
        """Answer until the process ends."""
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        while True:
            free = [self._listener] if len(self._running) < self._at_once else []
            ready, _, _ = select.select([self._woken, *free], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._reap()
            if self._listener in ready:
                self._begin(self._listener.accept()[0])

    def _begin(self, connection: socket.socket) -> None:
        """Look at what comes by a connection, in a fork."""
        pid = os.fork()
        if pid:
            self._running[pid] = connection
            return
        status = 1
        try:
            self._listener.close()
            _confine(self._look)
            connection.sendall(self._look.answer(_received(connection, self._look.most_bytes)))
            status = 0
        except (MemoryError, TooMuch):
            status = _TOO_MUCH_STATUS
        finally:
            os._exit(status)

    def _reap(self) -> None:
        """Answer for the forks that failed."""
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            answer = self._look.died(os.waitstatus_to_exitcode(status))
            with self._running.pop(pid) as connection, contextlib.suppress(OSError):
                if answer is not None:
                    connection.settimeout(1)
                    connection.sendall(answer)


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Be woken; `serve` does the rest."""


def _confine(look: Look) -> None:
    """Take from this process, a fork, what looking at a file does not need."""
    warnings.simplefilter("ignore")  # of damaged metadata
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, look.wall_s)
    limits = {
        resource.RLIMIT_CPU: (look.cpu_s, look.cpu_s + 1),
        resource.RLIMIT_AS: (look.memory_bytes, look.memory_bytes),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),  # a core file would hold a caller's file
    }
    for limit, values in limits.items():
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on the address space
            resource.setrlimit(limit, values)


def _received(connection: socket.socket, most_bytes: int) -> bytes:
    with connection.makefile("rb") as stream:
        (length,) = LENGTH.unpack(stream.read(LENGTH.size))
        if length > most_bytes:
            raise TooMuch
        data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def live(module: str, look: Look, load: Callable[[], None]) -> None:
    """Boot, serve, leave. Exit status 0 when told to stop, 1 when the start failed; the kernel ends it with its parent.

    `load` imports before the forks what each of them needs; it raises `BootError`.
    """
    report = Report.take_stdout()
    try:
        boot = BootDocument.parse(lifeline.read_line())
        lifeline.arm()
        load()
        offline = isolation.cut_network()
        listener = listen(boot.socket)
    except BootError as error:
        report.failed(error)
        sys.stderr.write(f"{module}: {error}\n")
        sys.exit(1)

    def clean() -> None:
        with contextlib.suppress(OSError):
            os.unlink(boot.socket)

    lifeline.leave_on_sigterm(clean)
    at_once = max(LEAST_AT_ONCE, min(MOST_AT_ONCE, os.cpu_count() or 1))
    report.event("ready", at_once=at_once, network=not offline)
    Forks(listener, look, at_once).serve()
