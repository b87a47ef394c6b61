"""Leaving an engine alone that keeps failing (a circuit breaker), as a table of states.

Closed: calls go through. Open: none does, for a pause that doubles with each failure of a probe. Half open: one call,
the probe, goes through and decides. An engine that says it is busy (429) is only put behind the others for a while.
"""

from __future__ import annotations

from enum import StrEnum

#: A pause at first and at most, in seconds: long enough to matter to a server that is restarting, short enough that
#: nobody waits for a remedy that has come.
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One engine's breaker, as this process sees it. `now` is the loop's time, in seconds."""

    def __init__(self, failures: int) -> None:
        #: Failures in a row that open it; 0: it never opens.
        self._most = failures
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._open_until = 0.0
        self._busy_until = 0.0
        self._probing = False
        self._open = False

    def state(self, now: float) -> State:
        """Return the state."""
        if not self._open:
            return State.CLOSED
        return State.OPEN if now < self._open_until else State.HALF_OPEN

    def is_busy(self, now: float) -> bool:
        """Whether the engine asked to be left alone for a while."""
        return now < self._busy_until

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next call may go through; 0: now."""
        if not self._open or (now >= self._open_until and not self._probing):
            return 0.0
        return max(self._open_until - now, 1.0)

    def enter(self, now: float) -> bool:
        """Take a call in, as the probe where it is half open; False: it may not go through."""
        if self.wait_s(now) > 0:
            return False
        self._probing = self._open
        return True

    def succeeded(self) -> None:
        """Note that the engine did its work: it is closed."""
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._open = self._probing = False

    def failed(self, now: float) -> bool:
        """Note that the engine failed; whether that opened the breaker, or keeps it open."""
        self._failures += 1
        if self._most == 0 or (not self._open and self._failures < self._most):
            return False
        if self._open:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._open, self._probing = True, False
        self._open_until = now + self._pause_s
        return True

    def busy(self, now: float, seconds: float) -> None:
        """Note that the engine works but takes no more for so long."""
        self._probing = False
        self._busy_until = max(self._busy_until, now + seconds)

    def left(self) -> None:
        """Note that a call ended without a word on the engine: the next may probe."""
        self._probing = False
