"""Taking the network away from a process that needs none.

llama.cpp fetches `http` image URLs by itself and has no switch for it, and its downloaders are compiled in. A network
namespace of its own, without any interface, makes both impossible; Unix sockets by path are files and keep working.
"""

from __future__ import annotations

import ctypes
import os
import sys

#: Flags of unshare(2), from linux/sched.h.
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def cut_network() -> bool:
    """Leave the network for good; True when it worked.

    Linux only, and only while the process has one thread. A kernel or container that forbids it (Docker's default
    profile for users other than root, for example) costs the protection, not the start.
    """
    if not sys.platform.startswith("linux"):
        return False
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    return unshare is not None and unshare(flags) == 0
