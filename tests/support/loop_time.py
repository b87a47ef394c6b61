"""The loop's clock and `sleep`, by hand: loops for ever end after so many rounds, and no time passes."""

from __future__ import annotations

import asyncio


class FakeLoopTime:
    """Stands for `asyncio` in a module: each sleep passes at once, and after `rounds` of them the test ends."""

    def __init__(self, rounds: int) -> None:
        self.now = 0.0
        self.rounds = rounds

    def time(self) -> float:
        """The time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Pass the time."""
        if self.rounds == 0:
            raise asyncio.CancelledError
        self.rounds -= 1
        self.now += seconds

    def get_running_loop(self) -> FakeLoopTime:
        """This stands for its loop too."""
        return self
