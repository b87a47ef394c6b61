"""One request and its reply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.errors import ApiError, RequestTooLarge, UnsupportedMediaType
from minitoolai.core.ids import request_id
from minitoolai.core.ledger import Rates
from minitoolai.core.records import CallFacts
from minitoolai.core.sse import KEEP_ALIVE
from minitoolai.edge.addresses import Networks, caller_address
from minitoolai.edge.base_url import base_url
from minitoolai.edge.statuses import error_body, error_headers, rate_headers, status_of
from minitoolai.services.access import Access
from minitoolai.services.metering import new_call_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

#: On a reply that an earlier call got (`Idempotency-Key`).
REPLAYED = (b"x-minitoolai-replayed", b"true")
JSON = b"application/json"
#: With the charset, since without it `requests` decodes a stream as Latin-1.
EVENT_STREAM = b"text/event-stream; charset=utf-8"
#: A caller that takes nothing of a reply's rest for so long is cut off (promise P8).
REPLY_DEADLINE_S = 12.0


class Exchange:
    """A request as an endpoint sees it, and the one way to answer it."""

    __slots__ = (
        "_first_headers",
        "_receive",
        "_send",
        "_trusted_proxies",
        "began_at",
        "call_id",
        "connection",
        "error_shape",
        "facts",
        "headers",
        "path",
        "route",
        "scope",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, path: str, *, trusted_proxies: Networks = ()) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._trusted_proxies = trusted_proxies
        #: By name, of several the first; made when one is first asked for.
        self._first_headers: dict[bytes, bytes] | None = None
        #: The path without its trailing slash.
        self.path = path
        #: Id of the call, its hold and its usage record; `x-request-id` is made from it.
        self.call_id: UUID = new_call_id()
        #: The connection (`LimitedProtocol`), where the server gives one.
        self.connection = scope.get("minitoolai.connection")
        #: Whether headers have gone out: then an error can only be in-band.
        self.started = False
        #: Status of the reply; None: none has begun.
        self.status: int | None = None
        #: Method and path as the table of routes has them.
        self.route = "unmatched"
        #: Time of the arrival, of the monotonic clock.
        self.began_at = time.monotonic()
        #: What is learnt of the call, for logs, metrics and traces.
        self.facts = CallFacts()
        #: How an error is written; a surface of another API than OpenAI's puts its own.
        self.error_shape: Callable[[ApiError], bytes] = error_body
        #: Sent with every reply, errors too.
        self.headers: Headers = []

    @property
    def method(self) -> str:
        """The request's method."""
        return str(self.scope["method"])

    @property
    def address(self) -> str | None:
        """The caller's IP address; None: it is not known."""
        client = self.scope.get("client")
        if not self._trusted_proxies and client is not None and ":" not in client[0]:
            return str(client[0])  # nobody is believed, and there is nothing to unfold
        lines = (value.decode("latin-1") for name, value in self.scope["headers"] if name == b"x-forwarded-for")
        return caller_address(client[0] if client else None, lines, self._trusted_proxies)

    @property
    def base_url(self) -> str:
        """Where the caller found this server, as "https://ai.example.com"."""
        return base_url(self.scope, self._trusted_proxies)

    def header(self, name: bytes) -> str | None:
        """Return the first header called `name` (lower case), or None."""
        if self._first_headers is None:
            self._first_headers = dict(reversed(self.scope["headers"]))
        value = self._first_headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def credentials(self) -> str | None:
        """The `Authorization` header, or one made of `x-api-key`, which Anthropic's clients send; None: neither."""
        found = self.header(b"authorization")
        if found is None and (key := self.header(b"x-api-key")) is not None:
            return f"Bearer {key}"
        return found

    async def principal(self, access: Access) -> Principal:
        """Return whom the caller's key is for. Raises as `Access.identify`."""
        found = await access.identify(self.credentials, self.address)
        self.facts.account_id, self.facts.key_id = found.account_id, found.key_id
        return found

    async def json_body(self, limit: int) -> bytes:
        """Return the body. Raises `UnsupportedMediaType`, `RequestTooLarge`, `asyncio.CancelledError` when cut."""
        media = self.header(b"content-type")
        if media is not None:
            kind = media.partition(";")[0].strip().lower()
            if kind not in ("application/json", "text/json", "") and not kind.endswith("+json"):
                raise UnsupportedMediaType(got=plain(kind))
        parts = [part async for part in self.body(limit)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def body(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises `RequestTooLarge`, `asyncio.CancelledError` when cut."""
        length = self.header(b"content-length")
        if length is not None and int(length) > limit:
            raise RequestTooLarge(limit=limit)
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise asyncio.CancelledError
            part, more = bytes(message.get("body", b"")), message.get("more_body", False)
            size += len(part)
            if size > limit:
                raise RequestTooLarge(limit=limit)
            yield part

    async def reply(self, status: int, body: bytes, headers: Headers | None = None, *, media: bytes = JSON) -> None:
        """Send a whole reply. A caller that does not take it is cut off."""
        self.started, self.status = True, status
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", media),
                (b"content-length", str(len(body)).encode()),
                (b"x-request-id", request_id(self.call_id).encode()),
                *self.headers,
                *(headers or ()),
            ],
        }
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
        self.expect_taken()

    def expect_taken(self) -> None:
        """Cut the connection off when the caller takes nothing of what was written last."""
        if self.connection is not None:
            self.connection.expect_taken(REPLY_DEADLINE_S)

    async def fail(self, error: ApiError) -> None:
        """Answer with an error, or cut the connection where a reply has begun."""
        self.facts.error = error.code
        if self.started:
            self.abort()
            return
        headers = error_headers(error)
        status = status_of(error)
        # Not after 413: a caller that is still sending would be answered by a reset. The rest of its body is dropped.
        if status in (408, 503):
            headers.append((b"connection", b"close"))
        await self.reply(status, self.error_shape(error), headers)

    def abort(self) -> None:
        """Cut the connection off: a reply that has begun must not look finished."""
        if self.connection is not None:
            self.connection.abort()

    def event_stream(self, headers: Headers) -> EventStream:
        """Return the sink for a streamed reply; its headers, these among them, go out with its first bytes."""
        return EventStream(self, headers)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send one ASGI message."""
        await self._send(message)


class ReplyStream:
    """A reply that is sent as it comes: headers before the first bytes."""

    __slots__ = ("_exchange", "_headers", "_loop", "_writing_since", "last_write")

    def __init__(self, exchange: Exchange, headers: Headers) -> None:
        """`headers`: the type of the reply among them; the request's id is added."""
        self._exchange = exchange
        self._headers = headers
        self._loop = asyncio.get_running_loop()
        #: See `services.calls.KeepAlive`.
        self.last_write = self._loop.time()
        #: Loop time at which the write under way began; None: there is none.
        self._writing_since: float | None = None

    @property
    def started(self) -> bool:
        """Whether headers have gone out."""
        return self._exchange.started

    @property
    def blocked_since(self) -> float | None:
        """See `services.calls.KeepAlive`."""
        return self._writing_since

    def granted(self, rates: Rates | None, *, replayed: bool = False) -> None:
        """See `services.ports.ReplySink`."""
        self._headers += rate_headers(rates)
        if replayed:
            self._headers.append(REPLAYED)

    async def write(self, data: bytes) -> None:
        """Send `data`, waiting while the caller is slow."""
        if not self._exchange.started:
            await self._start()
        self._writing_since = self._loop.time()
        await self._exchange.send({"type": "http.response.body", "body": data, "more_body": True})
        self.last_write = self._loop.time()
        self._writing_since = None

    async def end(self) -> None:
        """End the reply."""
        await self._exchange.send({"type": "http.response.body", "body": b"", "more_body": False})
        self._exchange.expect_taken()

    async def _start(self) -> None:
        self._exchange.started, self._exchange.status = True, 200
        own = (b"x-request-id", request_id(self._exchange.call_id).encode())
        headers = [own, *self._exchange.headers, *self._headers]
        await self._exchange.send({"type": "http.response.start", "status": 200, "headers": headers})


class EventStream(ReplyStream):
    """A stream of events, with comment lines while it is silent. What is written is whole frames."""

    __slots__ = ("_ended", "_keeping_alive")

    def __init__(self, exchange: Exchange, headers: Headers) -> None:
        form = [(b"content-type", EVENT_STREAM), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        super().__init__(exchange, [*form, *headers])
        self._keeping_alive: asyncio.Task[None] | None = None
        self._ended = False

    def keep_alive(self) -> None:
        """Send a comment line without waiting."""
        if self._keeping_alive is None or self._keeping_alive.done():
            self._keeping_alive = self._loop.create_task(self._comment())

    async def end(self) -> None:
        """End the reply."""
        self._ended = True
        await super().end()

    async def _comment(self) -> None:
        if not self._ended:
            await self.write(KEEP_ALIVE)


def plain(text: str) -> str:
    """Return a caller's own word fit to be shown back: short and printable."""
    return "".join(c for c in text[:60] if c.isprintable() and c not in "{}<>\"'")
