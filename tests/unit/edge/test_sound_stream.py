"""A sound that is sent as it is made: its headers, and when its caller counts as one that takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from minitoolai.core.ledger import Rates
from minitoolai.edge.exchange import Exchange
from minitoolai.edge.sound_stream import SoundStream


class FakeConnection:
    """A connection that says how much of a reply its caller has not taken."""

    def __init__(self) -> None:
        self.untaken = 0

    def expect_taken(self, seconds: float) -> None:
        """Nothing is left to take."""


class Line:
    """A caller's end, which lets a write go on when a test says so."""

    def __init__(self) -> None:
        self.connection = FakeConnection()
        self.sent: list[MutableMapping[str, Any]] = []
        self.go = asyncio.Event()
        self.go.set()
        scope = {"type": "http", "method": "POST", "headers": [], "minitoolai.connection": self.connection}
        self.exchange = Exchange(scope, self._receive, self._send, "/v1/audio/speech")
        self.stream = SoundStream(self.exchange, b"audio/mpeg", [(b"x-more", b"1")])

    async def _receive(self) -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self.go.wait()
        self.sent.append(message)


async def test_headers_go_out_with_the_first_bytes() -> None:
    """The sound's type, the request's id, what was added meanwhile; nothing is sent to keep it alive."""
    line = Line()
    line.stream.granted(Rates(5, 4, 100, 100, 1000), replayed=True)
    line.stream.keep_alive()
    await asyncio.sleep(0)
    assert (line.sent, line.stream.started) == ([], False)
    await line.stream.write(b"a")
    await line.stream.end()
    begin, first, last = line.sent
    headers = dict(begin["headers"])
    assert begin["status"] == line.exchange.status == 200
    assert (headers[b"content-type"], headers[b"cache-control"], headers[b"x-more"]) == (b"audio/mpeg", b"no-store", b"1")
    assert (headers[b"x-ratelimit-remaining-requests"], headers[b"x-minitoolai-replayed"]) == (b"4", b"true")
    assert headers[b"x-request-id"].startswith(b"req_")
    assert (first["body"], first["more_body"], last["body"], last["more_body"]) == (b"a", True, b"", False)


async def blocked(line: Line) -> asyncio.Task[None]:
    """Begin a write that waits for the caller."""
    line.go.clear()
    task = asyncio.create_task(line.stream.write(b"b"))
    await asyncio.sleep(0.002)
    return task


async def freed(line: Line, task: asyncio.Task[None]) -> None:
    """Let the write end."""
    line.go.set()
    await task


async def test_a_caller_that_takes_some_at_a_time_is_there() -> None:
    """It is blocked since it took the last byte, not since the write began."""
    line = Line()
    await line.stream.write(b"a")
    assert line.stream.blocked_since is None
    line.connection.untaken = 100
    task = await blocked(line)
    began = line.stream.blocked_since
    assert began is not None
    await asyncio.sleep(0.002)
    assert line.stream.blocked_since == began
    line.connection.untaken = 99
    taken = line.stream.blocked_since
    assert taken is not None
    assert taken > began
    await asyncio.sleep(0.002)
    assert line.stream.blocked_since == taken
    await freed(line, task)
    assert line.stream.blocked_since is None


async def test_each_write_is_waited_for_by_itself() -> None:
    """However much more is untaken than at the one before."""
    line = Line()
    await line.stream.write(b"a")
    line.connection.untaken = 100
    task = await blocked(line)
    first = line.stream.blocked_since
    await freed(line, task)
    line.connection.untaken = 200
    task = await blocked(line)
    second = line.stream.blocked_since
    assert first is not None
    assert second is not None
    assert second > first
    await freed(line, task)


async def test_without_a_connection_that_tells() -> None:
    """The write's own beginning counts."""
    line = Line()
    await line.stream.write(b"a")
    line.exchange.connection = None
    task = await blocked(line)
    assert line.stream.blocked_since is not None
    await freed(line, task)
