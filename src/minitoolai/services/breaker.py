"""Leaving an engine alone that keeps failing (a circuit breaker).

| state | a call | begins to get an answer | ends well | fails | is told that the engine is busy | says nothing |
|---|---|---|---|---|---|---|
| closed | goes through | | no failure in a row | the last of several in a row: open | busy for a while | |
| open | none, until the pause is over: half open | | | | | |
| half open | one, the probe | closed, until a failure | closed | open, for twice the pause | as at an answer | half open |

A busy engine (429, 503) is only put behind the others. What calls say that went through before the breaker opened, or
as an earlier probe, is not heard: a hundred of them may fail at once.
"""

from __future__ import annotations

from enum import StrEnum

#: A pause at first and at most, in seconds: long enough to matter to a server that is restarting, short enough that
#: nobody waits for a remedy that has come.
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
#: Twice the first pause so often is above the longest.
_MOST_DOUBLINGS = 4
#: What is told to a caller while a probe is under way, in seconds: nobody knows when it ends.
PROBE_WAIT_S = 1.0


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One engine's breaker, as this process sees it. `now` is the loop's time, in seconds.

    `enter` gives a call its ticket; with it the call says how it went: as often as it likes, the last word counts.
    """

    def __init__(self, failures: int) -> None:
        #: Failures in a row that open it; 0: it never opens.
        self._most = failures
        self._failures = 0
        #: None: it is closed.
        self._open_until: float | None = None
        self._probing = False
        self._busy_until = 0.0
        #: The ticket of all calls since it last opened, or of the latest probe. Others are not heard.
        self._ticket = 0

    def state(self, now: float) -> State:
        """Return the state."""
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if now < self._open_until else State.HALF_OPEN

    def is_busy(self, now: float) -> bool:
        """Whether the engine asked to be left alone for a while."""
        return now < self._busy_until

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next call may go through; 0: now."""
        if self._open_until is None:
            return 0.0
        return PROBE_WAIT_S if self._probing else max(self._open_until - now, 0.0)

    def enter(self, now: float) -> int | None:
        """Let a call through, as the probe where it is half open; return its ticket. None: it may not go through."""
        if self.wait_s(now) > 0:
            return None
        if self._open_until is not None:
            self._probing = True
            self._ticket += 1
        return self._ticket

    def answers(self, ticket: int) -> None:
        """Note that an answer of the engine has begun: a probe need not end before others go through."""
        if ticket == self._ticket and self._probing:
            self._open_until = None
            self._probing = False

    def succeeded(self, ticket: int) -> None:
        """Note that the engine did its work."""
        self.answers(ticket)
        if ticket == self._ticket:
            self._failures = 0

    def failed(self, ticket: int, now: float) -> bool:
        """Note that the engine failed; whether that opened the breaker, or keeps it open."""
        if ticket != self._ticket:
            return False
        self._failures += 1
        again = self._failures - self._most
        if self._most == 0 or again < 0:
            return False
        self._open_until = now + min(FIRST_PAUSE_S * 2 ** min(again, _MOST_DOUBLINGS), LONGEST_PAUSE_S)
        self._probing = False
        self._ticket += 1
        return True

    def busy(self, ticket: int, now: float, seconds: float) -> None:
        """Note that the engine lives but takes no more for so long."""
        self._busy_until = max(self._busy_until, now + seconds)
        self.answers(ticket)

    def left(self, ticket: int) -> None:
        """Note that a call ended without a word on the engine: the next may probe."""
        if ticket == self._ticket:
            self._probing = False
