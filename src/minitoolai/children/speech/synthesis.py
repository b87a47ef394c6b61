"""What a child that speaks needs from its engine: voices, a plan for each call, and the sound of one piece after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from minitoolai.core.speech import SpeechRequest, Voice
from minitoolai.core.speech_wire import Refusal

#: Takes the next samples of a piece: 16 bits each, little-endian, one channel. What it raises stops the engine at once:
#: an engine that makes no sound for long calls it with b"" every 20 ms or so, lest it speaks on for who has left.
Emit = Callable[[bytes], None]


class Refused(Exception):
    """A call is never spoken: its request is at fault."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.refusal = Refusal(field, why)


class SpeakingFailed(Exception):
    """A piece could not be spoken. `code` is for programs, lower case with underscores; the message for the log."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text that is spoken at one go: a sentence, or part of a long one. Calls take turns between pieces."""

    text: str
    #: Characters of the call's text up to the end of this piece, whatever stands between pieces included.
    ends_at: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call is spoken."""

    #: By the engine's own name.
    voice: str
    #: Samples a second of what the engine makes.
    rate: int
    pieces: Sequence[Piece]


class Synthesizer(Protocol):
    """An engine. Its methods are called from several threads; `say` by as many at once as `parallel` says."""

    #: Pieces spoken side by side.
    parallel: int

    def voices(self) -> list[Voice]:
        """Return the voices that there are."""
        ...

    def plan(self, request: SpeechRequest) -> Plan:
        """Return how a call is spoken. Raises `Refused`."""
        ...

    def say(self, request: SpeechRequest, plan: Plan, piece: Piece, emit: Emit) -> None:
        """Speak one piece of a call, in samples as they come. Raises `SpeakingFailed`, and what `emit` raises, at once."""
        ...
