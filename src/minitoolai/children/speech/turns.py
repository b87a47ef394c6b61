"""Who speaks next, of the calls that wait: those begin soon that come late, and a long text keeps nobody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: Seconds that a call waits at most while others, of which each would be next by itself, go before it.
MAX_WAIT_S = 10.0


@dataclass(eq=False)
class Turn:
    """What one call has had so far, and its place among those that wait."""

    #: Whether somebody waits for it: others make way.
    urgent: bool
    #: Turns that it had.
    had: int = 0
    #: When it began to wait, by the clock of `Turns`, and how many others had begun to wait before it, ever.
    since: float = 0.0
    number: int = 0
    #: Set when it may speak.
    may: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Lets so many calls speak at once.

    Next is, of those that wait, whoever waited too long; then whoever is urgent; then whoever had the fewest turns;
    then whoever came first.
    """

    def __init__(self, parallel: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = parallel
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[Turn] = []
        self._count = 0

    @contextmanager
    def taken(self, turn: Turn) -> Iterator[None]:
        """Wait for the call's turn, and give it back afterwards."""
        self._wait(turn)
        try:
            yield
        finally:
            with self._lock:
                turn.had += 1
                self._free += 1
                self._next()

    def _wait(self, turn: Turn) -> None:
        with self._lock:
            turn.may.clear()
            turn.since, turn.number = self._clock(), self._count
            self._count += 1
            self._waiting.append(turn)
            self._next()
        turn.may.wait()

    def _next(self) -> None:
        """Let whoever is next speak, while there is room."""
        overdue = self._clock() - MAX_WAIT_S
        while self._free and self._waiting:
            found = min(self._waiting, key=lambda turn: _rank(turn, overdue))
            self._waiting.remove(found)
            self._free -= 1
            found.may.set()


def _rank(turn: Turn, overdue: float) -> tuple[bool, bool, int, int]:
    """Return what the next call has least of; `overdue`: who began to wait before then, waits too long."""
    if turn.since < overdue:
        return False, False, 0, turn.number
    return True, not turn.urgent, turn.had, turn.number
