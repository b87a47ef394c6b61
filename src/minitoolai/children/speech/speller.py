"""The speller: the process that holds the library which turns texts into sounds, espeak-ng in all cases so far.

There are texts that make espeak-ng 1.52 write beyond its buffers ("a." five hundred times is one), so each text is turned
in a fork of its own, that may crash. One at a time: it takes a millisecond. Orders and replies go by standard input, a
socket; each is JSON behind its length, and an empty reply says that the text was not survived. What must never enter:
threads, which a fork would lose.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

import msgspec

from minitoolai.core.child_wire import LENGTH

#: Of an order and of a reply: some hundred characters, and their sounds.
MAX_MESSAGE_BYTES = 1024 * 1024
#: Seconds of processor for one text: it takes thousandths of one, or it never ends.
CPU_S = 1


class Spelling(msgspec.Struct, frozen=True):
    """What is to be turned into sounds."""

    text: str
    #: By espeak-ng's name.
    language: str
    #: Sounds that are one to the voice, where it knows such.
    clusters: tuple[tuple[str, ...], ...] = ()


#: The sounds of each sentence of a text.
Sounds = list[list[str]]

_encode = msgspec.json.Encoder().encode
_decode_spelling = msgspec.json.Decoder(Spelling).decode


def serve(load: Callable[[], Callable[[Spelling], Sounds]]) -> None:
    """Load the library and turn texts into sounds, until the other end of standard input is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever asks ends us by leaving
    control = socket.socket(fileno=0)
    spell = load()
    control.sendall(LENGTH.pack(0))
    gc.freeze()  # else each fork copies what the collector touches
    with control.makefile("rb") as stream:
        while head := stream.read(LENGTH.size):
            (length,) = LENGTH.unpack(head)
            reply = _spelt(spell, stream.read(length))
            control.sendall(LENGTH.pack(len(reply)) + reply)


def _spelt(spell: Callable[[Spelling], Sounds], order: bytes) -> bytes:
    """Return the sounds of a text as JSON, b"" where the fork did not survive it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_fork(spell, order, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        reply = pipe.read(MAX_MESSAGE_BYTES + 1)
    _, status = os.waitpid(pid, 0)
    return reply if status == 0 and len(reply) <= MAX_MESSAGE_BYTES else b""


def _be_fork(spell: Callable[[Spelling], Sounds], order: bytes, writing: int) -> NoReturn:
    status = 1
    try:
        for limit, most in ((resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(limit, (most, most))
        with open(writing, "wb") as pipe:
            pipe.write(_encode(spell(_decode_spelling(order))))
        status = 0
    finally:
        os._exit(status)
