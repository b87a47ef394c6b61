"""A process of ours and the program that supervises it: the boot document, and the lifeline behind it."""

from __future__ import annotations

import asyncio
import os
import sys


def read_boot() -> bytes:
    """Return the boot document: the first line of standard input, which stays open."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lifeline:
        return lifeline.readline()


def watch_lifeline(loop: asyncio.AbstractEventLoop) -> None:
    """End at once when standard input does: nobody is left to restart what we would leave behind."""

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            os._exit(1)

    loop.add_reader(sys.stdin.fileno(), readable)
