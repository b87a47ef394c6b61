"""A process that gave up the network reaches nothing by it, and Unix sockets still work."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

PROGRAM = """
import socket, sys
from minitoolai.children import isolation
if not isolation.cut_network():
    sys.exit("not permitted")
near, far = socket.socketpair()
near.send(b"x")
assert far.recv(1) == b"x"
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2)
except OSError:
    print("cut")
"""


def test_the_network_is_cut() -> None:
    """A listener on loopback that everyone else reaches; skipped where the kernel or container forbids it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ran = subprocess.run([sys.executable, "-c", PROGRAM, port], capture_output=True, text=True, check=False)
    if "not permitted" in ran.stderr:
        pytest.skip("network namespaces are not permitted here: the isolation is NOT TESTED")
    assert ran.stdout == "cut\n", ran.stderr
