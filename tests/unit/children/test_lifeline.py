"""A program whose parent is gone leaves, even while native code holds the interpreter's lock."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

ARMED = """
import ctypes, sys
from minitoolai.children import lifeline
line = lifeline.read_line()
assert line == b"{}\\n", line
assert lifeline.arm()
print("armed", flush=True)
ctypes.PyDLL(None).sleep(30)  # holds the interpreter's lock, as a load does
"""
WAITING = """
import os
from minitoolai.children import lifeline
lifeline.read_line()
lifeline.arm()
lifeline.disarm()
lifeline.leave_on_sigterm(lambda: os.write(2, b"cleaned"))
print("waiting", flush=True)
lifeline.wait(lambda: os.write(2, b"cleaned"))
"""
#: Far above what it takes (a few ms), far below the 30 s of the sleep.
SOON_S = 5.0


def _start(program: str, stdin: int) -> subprocess.Popen[bytes]:
    """Run `program` until it has said that it stands."""
    return subprocess.Popen([sys.executable, "-c", program], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("program", [ARMED, WAITING])
def test_a_closed_lifeline_ends_the_program(kind: str, program: str) -> None:
    """Pipes and socket pairs (asyncio's choice), with the lock held and without."""
    if kind == "pipe":
        theirs, ours = os.pipe()
    else:
        pair = socket.socketpair()
        theirs, ours = pair[0].detach(), pair[1].detach()
    process = _start(program, theirs)
    os.close(theirs)
    try:
        assert process.stdout is not None
        os.write(ours, b"{}\n")
        assert process.stdout.readline() in (b"armed\n", b"waiting\n")
        assert process.poll() is None
        began = time.monotonic()
        os.close(ours)
        process.wait(SOON_S)
        assert time.monotonic() - began < SOON_S
        assert process.returncode == (-signal.SIGIO if program is ARMED else 0)
    finally:
        process.kill()
        process.communicate()


def test_sigterm_cleans_up_and_leaves_with_0() -> None:
    """The orderly end."""
    process = _start(WAITING, subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"{}\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"waiting\n"
    process.terminate()
    process.wait(SOON_S)
    _, errors = process.communicate()
    assert process.returncode == 0
    assert errors == b"cleaned"


def test_a_lifeline_that_closed_before_it_was_armed() -> None:
    """The gap between reading the boot document and arming is covered."""
    program = ARMED.replace("assert lifeline.arm()", "import time; time.sleep(0.3); lifeline.arm()")
    process = _start(program, subprocess.PIPE)
    process.communicate(b"{}\n", timeout=SOON_S)
    assert process.returncode == 0


def test_a_file_cannot_be_armed() -> None:
    """Nothing hangs up there; it is said and not an error."""
    program = "from minitoolai.children import lifeline; print(lifeline.arm())"
    answer = subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert answer.stdout == b"False\n"
