"""The calls that are open in this process, and the one clock that watches over them.

A coarse tick instead of a timer for each wait of each call: a stream of 60 events would set 120 timers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from minitoolai.core.errors import MiniToolError
from minitoolai.core.inner_errors import CallerLeft

#: How often the open calls are looked at, in seconds. Every deadline below is honoured to this precision.
TICK_S = 0.5
#: Silence after which a stream gets a comment line, and a stream without headers its headers (docs/reference/chat.md).
KEEP_ALIVE_S = 15.0
#: A caller that takes no byte for so long is gone (promise P8).
STALLED_CALLER_S = 12.0

log = logging.getLogger(__name__)


class KeepAlive(Protocol):
    """A streamed reply as the clock sees it."""

    @property
    def last_write(self) -> float:
        """Loop time of the last byte written."""
        ...

    @property
    def blocked_since(self) -> float | None:
        """Loop time at which the write under way began; None: nothing is waiting for the caller."""
        ...

    def keep_alive(self) -> None:
        """Send a comment line, headers first where they have not gone out."""
        ...


class OpenCall:
    """One call from its hold to its settlement."""

    __slots__ = (
        "_task",
        "between_bytes_s",
        "deadline",
        "expire",
        "hold_id",
        "paid",
        "produced_nusd",
        "reason",
        "sink",
        "waiting_since",
    )

    def __init__(self, hold_id: UUID, task: asyncio.Task[object], produced_nusd: Callable[[], int]) -> None:
        self.hold_id = hold_id
        self._task = task
        #: What the call would cost if it ended now.
        self.produced_nusd = produced_nusd
        #: Whether its settlement was submitted: neither a drain nor a deadline may turn its end into an error then.
        self.paid = False
        #: Why the call was interrupted; None: it was not.
        self.reason: MiniToolError | None = None
        self.sink: KeepAlive | None = None
        #: Loop time since which the engine's next bytes are awaited; None: they are not.
        self.waiting_since: float | None = None
        self.between_bytes_s = 0.0
        #: Loop time by which the whole call must have ended.
        self.deadline = float("inf")
        #: What a wait for the engine's bytes that takes too long ends with.
        self.expire: Callable[[], MiniToolError] | None = None

    def let_go(self) -> None:
        """Break the circle from the call to this and back, so that an ended call's memory goes at once."""
        self.produced_nusd = _nothing
        self.expire = None

    def interrupt(self, reason: MiniToolError) -> None:
        """End the call for `reason`: its task is cancelled wherever it waits, and it settles by itself.

        A caller that has gone ends it at any time, also while it is being told of another reason.
        """
        gone = isinstance(reason, CallerLeft)
        if (gone and not isinstance(self.reason, CallerLeft)) or (self.reason is None and not self.paid):
            self.reason = reason
            self._task.cancel()

    def interrupted(self) -> MiniToolError:
        """Return why the task was cancelled; it goes on after that."""
        twice = self._task.uncancel() > 0
        while self._task.uncancel():
            pass
        if self.reason is None or twice:
            # The connection cancels without a reason; it may do so in the same turn as the clock with one.
            self.reason = CallerLeft()
        return self.reason


def _nothing() -> int:
    return 0


class OpenCalls:
    """All open calls of this process."""

    def __init__(self) -> None:
        self._calls: dict[UUID, OpenCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: OpenCall) -> None:
        """Take a call in."""
        self._calls[call.hold_id] = call

    def remove(self, call: OpenCall) -> None:
        """Let a call go whose settlement was submitted."""
        self._calls.pop(call.hold_id, None)

    def produced(self) -> dict[UUID, int]:
        """Return what each open call would cost if it ended now, in nano-dollars."""
        return {hold_id: call.produced_nusd() for hold_id, call in list(self._calls.items())}

    def interrupt_all(self, reason: Callable[[], MiniToolError]) -> None:
        """End every open call."""
        for call in list(self._calls.values()):
            call.interrupt(reason())

    async def watch(self, gone: Callable[[], MiniToolError]) -> None:
        """Tick for ever: keep silent streams alive, end stuck engines and callers that take nothing."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            now = loop.time()
            for call in list(self._calls.values()):
                self._look_at(call, now, gone)

    def _look_at(self, call: OpenCall, now: float, gone: Callable[[], MiniToolError]) -> None:
        sink = call.sink
        if sink is not None and sink.blocked_since is not None:
            # The engine waits for the caller: that the time is over is no fault of the engine.
            if now - sink.blocked_since > STALLED_CALLER_S or now > call.deadline:
                call.interrupt(gone())
            return
        waiting = call.waiting_since
        stuck = waiting is not None and now - waiting > call.between_bytes_s
        if call.expire is not None and (stuck or now > call.deadline):
            call.interrupt(call.expire())
            return
        if sink is not None and now - sink.last_write >= KEEP_ALIVE_S:
            sink.keep_alive()
