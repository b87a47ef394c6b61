"""The lifeline: standard input, held open by the parent. When it closes, the parent has died and so must we.

`kill -9` gives a parent no chance to stop its children; the kernel closing the parent's end of the pipe is the one
signal that always arrives. Two ways to hear it are needed, because native engines hold the interpreter's lock while
they load (llama.cpp: for the whole load), so no Python thread could notice:

* `arm`: the kernel itself sends SIGIO when the pipe hangs up, and SIGIO's default action ends the process;
* `wait`: once the engine serves from threads of its own, the main thread simply reads until the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import stat
from collections.abc import Callable
from types import FrameType


def read_line(descriptor: int = 0, limit: int = 65536) -> bytes:
    """The first line of the lifeline, byte by byte so that nothing after it is swallowed. Empty at its end."""
    line = bytearray()
    while len(line) < limit:
        byte = os.read(descriptor, 1)
        line += byte
        if byte in (b"", b"\n"):
            break
    return bytes(line)


def arm(descriptor: int = 0) -> bool:
    """Have the kernel end this process when the lifeline closes; no thread and no lock needed.

    Works on pipes and sockets, answers False for anything else (a terminal, a file). From here to `disarm` the parent
    must write nothing: a byte would end us too.
    """
    kind = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return False
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    if _hung_up(descriptor):  # it closed before the kernel was asked to tell
        os._exit(0)
    return True


def disarm(descriptor: int = 0) -> None:
    """Take `arm` back, before `wait`: from now on the end is an orderly one. A closed lifeline stays readable."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_ASYNC)


def _hung_up(descriptor: int) -> bool:
    """True when the other end is closed already."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(state & (select.POLLHUP | select.POLLERR) for _, state in poll.poll(0))


def leave_on_sigterm(clean: Callable[[], None]) -> None:
    """On SIGTERM or SIGINT run `clean` and leave with status 0.

    Only from the main thread, and only useful once Python runs again: during a load the default action stays.
    `os._exit`, since an orderly end would wait for the engine to finish its answers; the parent drains before.
    """

    def leave(_signal: int, _frame: FrameType | None) -> None:
        clean()
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


def wait(clean: Callable[[], None], descriptor: int = 0) -> None:
    """Block until the lifeline closes, then run `clean` and end the process. Never returns."""
    with contextlib.suppress(OSError):
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
        while os.read(descriptor, 4096):
            pass  # nothing more is expected; what comes is ignored
    clean()
    os._exit(0)
