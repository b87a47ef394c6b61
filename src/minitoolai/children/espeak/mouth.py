"""The mouth: the process that holds libespeak-ng, and speaks each utterance in a fork of its own.

The library is known to write beyond its buffers (`s'` a few hundred times is enough, as is a lone combining mark where
Danish is spoken), has one global state, and cannot be told to stop but from inside. A fork costs some milliseconds; it may
crash, be left in the middle, and speak beside others. What must never enter: threads, which a fork would lose.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
from typing import NoReturn

import msgspec

from minitoolai.children.espeak.native import Library
from minitoolai.children.espeak.utterances import MAX_MESSAGE_BYTES, Inventory, Said, Utterance
from minitoolai.children.report import BootError
from minitoolai.core.child_wire import LENGTH, frame, order_bytes

#: Bytes of samples that are sent at once: a twentieth of a second first, so that sound begins early, then a fifth.
FIRST_BYTES, MORE_BYTES = 2048, 8192
#: Seconds of processor for one utterance: the longest needs a tenth. Some texts keep the library busy for ever.
CPU_S = 20

_decode = msgspec.json.Decoder(Utterance).decode


def main() -> None:
    """Load the library, and be the mouth until the other end of standard input is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever listens ends us by leaving
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a fork
    control = socket.socket(fileno=0)
    try:
        library = Library()
    except BootError as error:
        control.sendall(order_bytes(Inventory(failure=(error.code, str(error)))))
        return
    voices, variants = tuple(library.voices()), tuple(library.variants())
    control.sendall(order_bytes(Inventory(library.version, library.rate, voices, variants)))
    gc.freeze()  # else each fork copies what the collector touches
    _serve(control, library)


def _serve(control: socket.socket, library: Library) -> None:
    """Fork for each connection that is handed over, until there are no more."""
    while True:
        sign, descriptors, *_ = socket.recv_fds(control, 1, 1)
        if not sign:
            return
        with socket.socket(fileno=descriptors[0]) as connection, contextlib.suppress(OSError):
            if os.fork() == 0:
                control.close()
                _be_fork(connection, library)


def _be_fork(connection: socket.socket, library: Library) -> NoReturn:
    """Speak one utterance and end."""
    status = 1
    try:
        for limit, most in ((resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(limit, (most, most))
        with connection.makefile("rb") as stream:
            (length,) = LENGTH.unpack(stream.read(LENGTH.size))
            utterance = _decode(stream.read(min(length, MAX_MESSAGE_BYTES)))
        _speak(connection, library, utterance)
        status = 0
    except OSError:
        status = 0  # nobody listens any more
    finally:
        os._exit(status)


def _speak(connection: socket.socket, library: Library, utterance: Utterance) -> None:
    kept = bytearray()
    enough = FIRST_BYTES

    def take(samples: bytes) -> bool:
        nonlocal enough
        kept.extend(samples)
        if len(kept) >= enough:
            try:
                connection.sendall(frame(Said.SAMPLES, bytes(kept)))
            except OSError:  # whoever listened has left; there is nothing to end but this process
                os._exit(0)
            kept.clear()
            enough = MORE_BYTES
        return True

    library.choose(utterance.voice, utterance.rate, utterance.pitch)
    library.speak(utterance.text, take, ssml=utterance.ssml, pause=utterance.pause)
    connection.sendall(frame(Said.SAMPLES, bytes(kept)) + frame(Said.SPOKEN))


if __name__ == "__main__":
    main()
