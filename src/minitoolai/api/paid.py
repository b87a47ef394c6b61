"""What every paid route of chat does the same: its headers in, its headers out, whole or streamed.

A surface with another shape than OpenAI's chat gives a `Shape`: the core speaks chat completions to all of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.errors import InvalidValue
from minitoolai.core.inference import ChatRequest
from minitoolai.core.inner_errors import InvalidAmount
from minitoolai.core.ledger import Rates, Repeatable
from minitoolai.core.money import format_usd, parse_usd
from minitoolai.core.sse import SseError, frame_data
from minitoolai.edge.exchange import REPLAYED, EventStream, Exchange, Headers
from minitoolai.edge.statuses import rate_headers
from minitoolai.services.chat import Chat

#: Characters of an Idempotency-Key at most (docs/reference/api.md).
MAX_IDEMPOTENCY_KEY = 255

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Events(Protocol):
    """Turns one stream of chat completion chunks into the events of another API, sans I/O."""

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """Return the frames for one `chat.completion.chunk`; the last one has no choices, and the usage with its cost."""
        ...

    def done(self) -> bytes:
        """Return the frames that end a complete stream."""
        ...

    def error(self, error: dict[str, Any]) -> bytes:
        """Return the frames that end a stream which failed with OpenAI's `error` object."""
        ...


class Shape(Protocol):
    """Another API's shape over a chat call. Its request asks for the usage chunk (`include_usage`)."""

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the reply for a `chat.completion`, whose `usage` has the cost."""
        ...

    def events(self) -> Events:
        """Return what translates a stream."""
        ...


async def answer_chat(
    exchange: Exchange,
    chat: Chat,
    principal: Principal,
    request: ChatRequest,
    raw: bytes,
    *,
    ignored: str = "",
    shape: Shape | None = None,
) -> None:
    """Run a chat call with the options in the request's headers and send its reply. `raw`: the body as it came.

    Raises `ApiError` while nothing was sent, and `CallerLeft`.
    """
    cap, again = max_cost_nusd(exchange), repeatable(exchange, raw)
    if cap is not None or again is not None:
        request = replace(request, max_cost_nusd=cap, repeatable=again)
    headers: Headers = [(b"x-minitoolai-ignored", ignored.encode())] if ignored else []
    if request.stream:
        stream = exchange.event_stream(headers)
        sink = stream if shape is None else Translated(stream, shape)
        await chat.stream(principal, exchange.call_id, request, sink, exchange.facts)
        await stream.end()
        return
    reply = await chat.whole(principal, exchange.call_id, request, exchange.facts)
    headers += cost_headers(reply.cost_nusd, reply.balance_nusd, reply.rates)
    if reply.replayed:
        headers.append(REPLAYED)
    await exchange.reply(200, _encode(reply.body if shape is None else shape.whole(reply.body)), headers)


def max_cost_nusd(exchange: Exchange) -> int | None:
    """Return what `x-max-cost` allows, in nano-dollars; None: no cap. Raises `InvalidValue`."""
    text = exchange.header(b"x-max-cost")
    if text is None:
        return None
    try:
        return parse_usd(text)
    except InvalidAmount as error:
        raise InvalidValue(param="x-max-cost", why=f"it is an amount in USD, like 0.01; {error.facts['why']}.") from None


def repeatable(exchange: Exchange, raw: bytes) -> Repeatable | None:
    """Return what `Idempotency-Key` says of a call; None: nothing. Raises `InvalidValue`."""
    key = exchange.header(b"idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY or not (key.isascii() and key.isprintable()):
        why = f"it has 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters, like a UUID."
        raise InvalidValue(param="idempotency-key", why=why)
    return Repeatable(key, hashlib.sha256(exchange.path.encode() + b"\0" + raw).digest())


def cost_headers(cost_nusd: int, balance_nusd: int | None, rates: Rates | None) -> Headers:
    """Return the headers of a whole paid reply: its cost, the balance where it is known, how the key's minute stands."""
    headers = [(b"x-minitoolai-cost", format_usd(cost_nusd).encode())]
    if balance_nusd is not None:
        headers.append((b"x-minitoolai-balance", format_usd(balance_nusd).encode()))
    return headers + rate_headers(rates)


class Translated:
    """A stream whose chat chunks go out as the events of another API (`services.chat.StreamingSink`)."""

    def __init__(self, stream: EventStream, shape: Shape) -> None:
        self._stream = stream
        self._events = shape.events()

    @property
    def started(self) -> bool:
        """See `services.ports.ReplySink`."""
        return self._stream.started

    @property
    def last_write(self) -> float:
        """See `services.calls.KeepAlive`."""
        return self._stream.last_write

    @property
    def blocked_since(self) -> float | None:
        """See `services.calls.KeepAlive`."""
        return self._stream.blocked_since

    def granted(self, rates: Rates | None, *, replayed: bool = False) -> None:
        """See `services.ports.ReplySink`."""
        self._stream.granted(rates, replayed=replayed)

    def keep_alive(self) -> None:
        """See `services.calls.KeepAlive`."""
        self._stream.keep_alive()

    async def write(self, frames: bytes) -> None:
        """Translate whole frames and send what comes of them. Raises `SseError` when one is no JSON."""
        out = b"".join([self._frame(frame + b"\n\n") for frame in frames.split(b"\n\n") if frame])
        if out:
            await self._stream.write(out)

    def _frame(self, frame: bytes) -> bytes:
        data = frame_data(frame).strip()
        if not data:
            return b""
        if data == b"[DONE]":
            return self._events.done()
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SseError("a frame is not JSON") from error
        return self._events.error(chunk["error"]) if chunk.get("error") else self._events.chunk(chunk)
