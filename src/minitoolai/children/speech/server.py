"""Takes orders by a Unix socket and has them spoken, piece by piece: whatever takes arithmetic is a turn of its call.

A piece takes two turns: it is spoken, and its samples are written as the caller's kind of file, which may well be the more
costly. Only the beginning of a call's sound is written, and sent, while it is made: so everybody hears something soon. No
turn waits for a caller: what he does not take is sent after it. What the file's format keeps back (`encoding`) comes after
the `SPOKEN` of its piece, with the next.

Whoever left is noticed before each turn, every few milliseconds of it, and when something is sent.
"""

from __future__ import annotations

import socket
import traceback
from contextlib import closing

from minitoolai.children import serving
from minitoolai.children.serving import CallerLeft
from minitoolai.children.speech.encoding import SAMPLE_BYTES, Encoder, encoder
from minitoolai.children.speech.outbox import Outbox
from minitoolai.children.speech.synthesis import Piece, Plan, Refused, SpeakingFailed, Synthesizer
from minitoolai.children.speech.turns import Turn, Turns
from minitoolai.core.child_wire import BadOrder, frame
from minitoolai.core.speech_wire import (
    MAX_ORDER_BYTES,
    ORDER_INVALID,
    Kind,
    SpeechOrder,
    read_order,
    refused,
    spoken,
    voices_frame,
)

#: Connections answered side by side; more wait, in the order they came. Each is a thread that mostly waits.
MAX_CALLS = 256
#: Bytes of samples that are encoded at once: a fifth of a second at 24,000 samples a second.
BLOCK_BYTES = 9600
#: Seconds of sound that go out in a call's first turn: what the others' first turns take, where twenty begin at once.
BEGINNING_S = 0.5
#: Seconds of sound that a file has at least, silence where a text makes none: decoders refuse files without any.
LEAST_S = 0.1


def serve(path: str, synthesizer: Synthesizer, module: str) -> serving.Server:
    """Listen at `path` and begin to speak; `module`: who that is, in the log. Raises `BootError`."""
    server = serving.Server(serving.listen(path), Calls(synthesizer, module).answer, MAX_CALLS)
    server.start()
    return server


class Calls:
    """Answers connections with speech."""

    def __init__(self, synthesizer: Synthesizer, module: str) -> None:
        self._synthesizer = synthesizer
        self._module = module
        self._turns = Turns(synthesizer.parallel)

    def answer(self, connection: socket.socket) -> None:
        """Speak for one connection, and say what became of it to whoever still listens. Raises `CallerLeft`."""
        outbox = Outbox(connection)
        outbox.put(self._last_frame(connection, outbox))
        outbox.send()

    def _last_frame(self, connection: socket.socket, outbox: Outbox) -> bytes:
        """Do what is ordered; return the last frame. Raises `CallerLeft`."""
        try:
            order = read_order(serving.received(connection, MAX_ORDER_BYTES))
            if not isinstance(order, SpeechOrder):
                return voices_frame(self._synthesizer.voices())
            try:
                plan = self._synthesizer.plan(order.request)
            except Refused as error:
                return refused(error.refusal)
            with closing(encoder(order.request.format, plan.rate)) as file:
                _Call(self._synthesizer, order, plan, file, outbox).speak(self._turns)
            return spoken(len(order.request.text)) + frame(Kind.END)
        except BadOrder as error:
            self._log(f"an order cannot be read: {error}")
            return frame(Kind.FAILED, ORDER_INVALID)
        except SpeakingFailed as error:
            self._log(f"speaking failed ({error.code}): {error}")
            return frame(Kind.FAILED, error.code.encode())
        except CallerLeft:
            raise
        except Exception as error:  # noqa: BLE001 - what nobody thought of fails one call; the next may be spoken
            # Without its message, in which there may be the caller's text.
            where = "".join(traceback.format_tb(error.__traceback__))
            self._log(f"speaking failed ({type(error).__name__}):\n{where}")
            return frame(Kind.FAILED, b"engine_failed")

    def _log(self, line: str) -> None:
        serving.log(self._module, line)


class _Call:
    """One text that is being spoken."""

    def __init__(self, synthesizer: Synthesizer, order: SpeechOrder, plan: Plan, file: Encoder, outbox: Outbox) -> None:
        self._synthesizer = synthesizer
        self._order = order
        self._plan = plan
        self._file = file
        self._outbox = outbox
        self._samples = 0

    def speak(self, turns: Turns) -> None:
        """Send the whole text's sound. Raises `CallerLeft`, and what the engine raises."""
        turn = Turn(self._order.urgent)
        for piece in self._plan.pieces:
            with turns.taken(turn):
                kept = self._say(piece)
            if kept:
                with turns.taken(turn):
                    self._write(kept)
            self._outbox.put(spoken(piece.ends_at))
            self._outbox.send()
        lacking = round(LEAST_S * self._plan.rate) - self._samples
        if lacking > 0:
            self._outbox.put_sound(self._file.feed(bytes(lacking * SAMPLE_BYTES)))
        self._outbox.put_sound(self._file.finish())

    def _say(self, piece: Piece) -> bytes:
        """Speak a piece; return its samples that were not written at once. Raises `CallerLeft`, and what the engine
        raises."""
        self._outbox.check_there()
        beginning = round(BEGINNING_S * self._plan.rate)
        kept = bytearray()

        def emit(samples: bytes) -> None:
            self._outbox.look()
            at_once = max(beginning - self._samples, 0) * SAMPLE_BYTES
            self._samples += len(samples) // SAMPLE_BYTES
            if at_once:
                self._write(samples[:at_once])
            kept.extend(samples[at_once:])

        self._synthesizer.say(self._order.request, self._plan, piece, emit)
        return bytes(kept)

    def _write(self, samples: bytes) -> None:
        """Write samples into the file, and send what is taken of it. Raises `CallerLeft`."""
        for start in range(0, len(samples), BLOCK_BYTES):
            self._outbox.put_sound(self._file.feed(samples[start : start + BLOCK_BYTES]))
            self._outbox.send_some()
