"""A reply that is a sound, sent as it is made."""

from __future__ import annotations

from minitoolai.edge.exchange import Exchange, Headers, ReplyStream


class SoundStream(ReplyStream):
    """A stream of the bytes of a sound file: there is no place in it for anything else."""

    __slots__ = ("_looked_at", "_taken_at", "_untaken")

    def __init__(self, exchange: Exchange, media: bytes, headers: Headers) -> None:
        form = [(b"content-type", media), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        super().__init__(exchange, [*form, *headers])
        #: The write that was looked at last, by its beginning; what the caller had not taken then, in bytes; and the loop
        #: time since which that is so.
        self._looked_at: float | None = None
        self._untaken = 0
        self._taken_at = 0.0

    @property
    def blocked_since(self) -> float | None:
        """Loop time since which the caller takes nothing; None: nothing waits for it.

        Who plays a sound while it comes takes it no faster than it is heard, so that one write may wait for longer than a
        caller that is gone is waited for (`services.calls.STALLED_CALLER_S`).
        """
        began, connection = self._writing_since, self._exchange.connection
        if began is None or connection is None:
            return began
        untaken = connection.untaken
        if began != self._looked_at:
            self._looked_at, self._untaken, self._taken_at = began, untaken, began
        elif untaken < self._untaken:
            self._untaken, self._taken_at = untaken, self._loop.time()
        return self._taken_at

    def keep_alive(self) -> None:
        """Nothing: silence in a sound is a part of it."""
