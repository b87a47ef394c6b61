"""The first thing that runs in a child: drop to its user, tie its life to the parent's, become the command.

Run as a script by `processes.Process` (`python -I -S processes_launch.py JSON`), never imported by a server, and
nothing but the standard library may enter: it runs before any package can be found. Two modes:

* `exec` (Linux): asks the kernel for a signal at the parent's death, then becomes the command. Costs 20 ms, no memory.
  Doing this here and not in subprocess's `preexec_fn` keeps Python from running between fork and exec, which
  deadlocks in a process with threads.
* `guard` (everywhere else): stays, watches a pipe whose other end the parent holds, and ends the command at its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

#: prctl(2): the signal to get when the thread that started us ends.
PR_SET_PDEATHSIG = 1
#: Signals a guard hands on to its command.
HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: Exit statuses of a shell for a command that cannot be run.
CANNOT_RUN, NOT_FOUND = 126, 127


def main(document: str) -> NoReturn:
    """Run the command that `document` (JSON, see `processes.launch_document`) describes."""
    plan: dict[str, Any] = json.loads(document)
    os.umask(plan["umask"])
    if plan["guard_fd"] is not None:
        guard(plan)
    tie = kernel_tie(plan["death_signal"])
    become_user(plan)
    tie()
    if os.getppid() != plan["parent"]:
        os._exit(0)  # the parent died before the kernel was asked: nobody would ever tell
    become(plan)


def become_user(plan: dict[str, Any]) -> None:
    """Give up root for the plan's user, if it names one; supplementary groups too."""
    if plan["uid"] is None:
        return
    try:
        os.setgroups([])
        os.setgid(plan["gid"])
        os.setuid(plan["uid"])
    except OSError as error:
        fail(f"cannot become the user with id {plan['uid']}: {error.strerror}", CANNOT_RUN)


def become(plan: dict[str, Any]) -> NoReturn:
    """Turn into the command."""
    command: list[str] = plan["command"]
    for number in (*HANDED_ON, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # what is ignored here (Python: SIGPIPE) would stay so in the command
    try:
        if plan["cwd"]:
            os.chdir(plan["cwd"])
        os.execvpe(command[0], command, os.environ)  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        fail(f"cannot run {command[0]}: {error.strerror}", NOT_FOUND)
    except OSError as error:
        fail(f"cannot run {command[0]}: {error.strerror}", CANNOT_RUN)


def fail(message: str, status: int) -> NoReturn:
    """Say why on standard error and end."""
    os.write(2, (message + "\n").encode())
    os._exit(status)


def kernel_tie(death_signal: int) -> Callable[[], None]:
    """A function that asks for `death_signal` at the parent's death; loaded while we may still read our libraries.

    To be called after the change of user, which clears the request.
    """
    import ctypes  # here, since a guard does without it

    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        if prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            fail(f"cannot ask for the parent's death signal: {os.strerror(ctypes.get_errno())}", CANNOT_RUN)

    return tie


def guard(plan: dict[str, Any]) -> NoReturn:
    """Start the command below us, and end with it, or it when the parent is gone."""
    lifeline: int = plan["guard_fd"]
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (*HANDED_ON, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # the number arrives through the wake-up pipe
    os.set_inheritable(lifeline, False)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        become_user(plan)
        become(plan)
    kill_at: float | None = None
    while True:
        wait_s = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        watched = [wake_read] if kill_at is not None else [wake_read, lifeline]
        ready, _, _ = select.select(watched, [], [], wait_s)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            leave_like(status)
        if wake_read in ready:
            for byte in os.read(wake_read, 512):
                if byte in HANDED_ON:
                    send(child, byte)
        if lifeline in ready and os.read(lifeline, 1) == b"":
            send(child, plan["death_signal"])
            kill_at = time.monotonic() + plan["death_timeout_s"]
        if kill_at is not None and time.monotonic() >= kill_at:
            send(child, signal.SIGKILL)
            kill_at = time.monotonic() + plan["death_timeout_s"]


def send(child: int, number: int) -> None:
    """Signal our child, which cannot have been replaced: only we reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def leave_like(status: int) -> NoReturn:
    """End with the command's own status, by the same signal if one ended it."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        signal.pause()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
