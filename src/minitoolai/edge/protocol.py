"""uvicorn's HTTP/1.1 protocol with what it lacks: limits and deadlines for headers and bodies, word of a lost caller.

A request that comes whole in one packet sets no timer. A connection's own callbacks tell a call that its caller has
gone: no task per request waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import struct
import termios
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from minitoolai.core.errors import ApiError, HeadersTooLarge, InvalidHttp, RequestTimeout, UpgradeRefused
from minitoolai.core.ids import request_id
from minitoolai.edge.statuses import error_body, status_of
from minitoolai.services.metering import new_call_id

#: Headers of SDKs take about 1 KB; nginx allows 32 KB.
MAX_HEADER_BYTES = 32 * 1024
#: Promise P8: a connection that sends its headers slowly is closed within 15 s.
HEADER_DEADLINE_S = 10.0
#: Requests that may wait on a connection while one is answered; no client pipelines more.
MOST_PIPELINED = 4
#: Bytes of a body must keep coming.
BODY_SILENCE_S = 15.0
#: The largest body over a slow line (8 MB at 1 Mbit/s).
BODY_DEADLINE_S = 120.0

#: A number as the system tells it.
_INT = struct.Struct("i")
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        #: Called once when the caller's connection is gone while a request is being answered.
        self.on_lost: Callable[[], object] | None = None
        self._reading_headers = True
        self._reading_body = False
        self._header_bytes = 0
        self._body_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: How many replies were written so far.
        self._replies = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the deadline of the first request's headers."""
        super().connection_made(transport)
        self._arm(HEADER_DEADLINE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the call that is being answered."""
        self._disarm()
        super().connection_lost(exc)
        lost, self.on_lost = self.on_lost, None
        if lost is not None:
            lost()

    def abort(self) -> None:
        """Cut the connection off; what it has not read is dropped."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.transport is not None:
            self.transport.abort()

    @property
    def untaken(self) -> int:
        """Bytes of replies that the other side has not taken yet, those in the system's own buffer among them."""
        left = self.transport.get_write_buffer_size()
        connected = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, ValueError):  # not every system tells, and the socket may be closed
            queued = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
            left += int(_INT.unpack(queued)[0])
        return left

    def expect_taken(self, seconds: float) -> None:
        """Cut the connection off when the reply just written is not taken: no byte of it within `seconds`."""
        self._replies += 1
        left = self.transport.get_write_buffer_size()
        if left:
            self.loop.call_later(seconds, self._look_at_rest, seconds, self._replies, left)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; keep the deadline of what is still incomplete."""
        if not self._reading_body:
            self._header_bytes += len(data)
            if b"pgrade" in data or b"PGRADE" in data:
                data = _without_upgrade(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._disarm()
        elif self._reading_headers:
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(HeadersTooLarge(limit=MAX_HEADER_BYTES))
            elif self._timer is None:
                self._arm(HEADER_DEADLINE_S)
        elif self._reading_body:
            self._disarm()
            self._arm(min(BODY_SILENCE_S, max(self._body_until - self.loop.time(), 0.0)))
        elif self._timer is not None:
            self._disarm()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._reading_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or to a refusal when its headers are too large."""
        self._reading_headers = False
        self._reading_body = True
        self._header_bytes = 0
        self._body_until = self.loop.time() + BODY_DEADLINE_S
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLarge(limit=MAX_HEADER_BYTES))
            return
        if self.parser.should_upgrade():
            # CONNECT, or an offer that `_without_upgrade` did not see whole.
            self._refuse(UpgradeRefused())
            return
        if len(self.pipeline) >= MOST_PIPELINED:
            self.abort()
            return
        super().on_headers_complete()
        self.scope["minitoolai.connection"] = self  # type: ignore[typeddict-unknown-key]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; fields that trail a body are dropped, and many of them end the connection."""
        if not self._reading_body:
            super().on_header(name, value)
            return
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            self.abort()

    def on_body(self, body: bytes) -> None:
        """Take bytes of the body, unless the request was refused already."""
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._reading_body = False
        self._header_bytes = 0
        if self.cycle is not None:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the house's error shape."""
        self._refuse(InvalidHttp())

    def _unsupported_upgrade_warning(self) -> None:
        """Nobody needs to hear of it: the caller was told."""

    def _arm(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_rest(self, seconds: float, reply: int, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if reply != self._replies or not left:
            return
        if left >= before:
            self.abort()
        else:
            self.loop.call_later(seconds, self._look_at_rest, seconds, reply, left)

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if not self._reading_body and self._header_bytes == 0:
            self.transport.close()  # a connection on which nothing was ever asked
            return
        seconds = BODY_SILENCE_S if self._reading_body else HEADER_DEADLINE_S
        self._refuse(RequestTimeout(seconds=round(seconds)))

    def _is_head(self) -> bool:
        """Whether the request is known to be a HEAD, whose reply has no body: its method stands before its path."""
        return bool(self.url) and self.parser.get_method() == b"HEAD"

    def _refuse(self, error: ApiError) -> None:
        """Answer outside the application and close. A request that is being answered already is only cut off."""
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete
        if answering:
            started = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
            if started:
                self.abort()
                return
        if self.transport.is_closing():
            return
        body = error_body(error)
        head = [
            STATUS_LINE[status_of(error)],
            b"content-type: application/json\r\nconnection: close\r\n",
            b"content-length: %d\r\nx-request-id: %s\r\n\r\n" % (len(body), request_id(new_call_id()).encode()),
        ]
        self.transport.write(b"".join([*head, b"" if self._is_head() else body]))
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """Return `data` with the offer of another protocol taken back: `curl --http2` and Java's client make one with every
    first request, and the parser would take the body behind it for that protocol's bytes."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + rest
