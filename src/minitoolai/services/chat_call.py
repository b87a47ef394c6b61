"""One chat call between its hold and its settlement.

What it costs is `reckoning`'s business, which engine answers `attempts`'.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from minitoolai.core.catalog import ChatModel
from minitoolai.core.chat_assembly import assemble
from minitoolai.core.chat_stream import delta_texts, usage_chunk
from minitoolai.core.errors import ApiError, UpstreamError
from minitoolai.core.inference import ChatRequest, Usage, parse_usage, usage_object
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome, Rates, Settled, Settlement
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.core.sse import DONE
from minitoolai.services.bounds import Bounds
from minitoolai.services.calls import KeepAlive, OpenCalls
from minitoolai.services.chat_attempts import ChatAttempts
from minitoolai.services.engine_call import EngineCall
from minitoolai.services.metering import Hold, settled_soon
from minitoolai.services.ports import ChatEngine, ReplySink
from minitoolai.services.reckoning import Reckoning

#: A whole reply larger than this is a fault of the engine.
MAX_REPLY_BYTES = 64 * 1024 * 1024

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class WholeReply:
    """A finished reply."""

    #: A `chat.completion`, its `usage` with the cost.
    body: dict[str, Any]
    cost_nusd: int
    #: The account's balance after the capture; None when the database was away at that moment.
    balance_nusd: int | None
    #: How the key's minute stands.
    rates: Rates | None = None
    #: Whether it is the reply of an earlier call, given again.
    replayed: bool = False


class Kept(msgspec.Struct, frozen=True):
    """A finished reply as it is kept for callers that repeat their call."""

    cost_nusd: int
    #: A `chat.completion`, also of a call that was streamed.
    body: dict[str, Any]


class StreamingSink(ReplySink, KeepAlive, Protocol):
    """A caller's connection that the clock of the open calls may write to as well."""


class ChatCall(EngineCall[ChatModel, ChatEngine]):
    """A call between its hold and its settlement. Leaving its `with` block settles it in every case."""

    def __init__(self, bounds: Bounds, attempts: ChatAttempts, hold: Hold, calls: OpenCalls) -> None:
        self._request = bounds.request
        self._books = Reckoning(hold.id, bounds, attempts)
        super().__init__(bounds.model, attempts, hold, calls, self._books.produced_nusd)

    def __exit__(self, *_: object) -> None:
        self._attempts.close()
        scanner = self._books.received.scanner
        try:
            if not self._hold.settled:
                self._hold.settle(self._broken_off())
        except Exception:
            # Whatever could not be counted, a call is never released for nothing by omission.
            log.exception("call %s cannot be counted; it is charged what it was known to have cost", self._hold.id)
            if not self._hold.settled:
                outcome = CallOutcome.CUT if scanner.has_content else CallOutcome.FAILED
                cost = self._books.produced_nusd()
                self._hold.settle(Settlement(self._hold.id, cost, outcome, counted_by_gateway=True))
        finally:
            if scanner.has_content:
                self._attempts.worked()
            self._attempts.end()
            self._attempts.tell(self._hold.facts)
            self._calls.remove(self._open)
            self._open.let_go()

    async def run_whole(self) -> WholeReply:
        """Run the call and return its reply. Raises `ApiError`, `CallerLeft`."""
        body = await self._tried(self._whole)
        try:
            usage = parse_usage(body.get("usage")) or self._books.count(delta_texts(body))
            usage = self._books.at_tier(usage, body)
            self._show_usage(body, usage, self._charge(usage))
            settled = await self._settle(usage, body)
        except asyncio.CancelledError:
            raise self._interrupted() from None
        cost = self._charged(usage, settled)
        self._show_usage(body, usage, cost)
        return WholeReply(body, cost, settled.balance_nusd if settled else None, self._hold.rates)

    async def run_stream(self, sink: StreamingSink) -> None:
        """Run the call into `sink`. Raises `ApiError` while `sink` has not started, `CallerLeft` at any time."""
        self._open.sink = sink
        sink.granted(self._hold.rates)
        try:
            await self._tried(partial(self._relay, sink))
            await self._finish(sink)
        except asyncio.CancelledError:
            failure = self._interrupted()
            if isinstance(failure, CallerLeft):
                raise failure from None
            await self._fail(sink, failure)
        except ApiError as error:
            await self._fail(sink, error)

    async def _relay(self, sink: StreamingSink) -> dict[str, Any]:
        """Pass the engine's frames on until it has ended its reply; return the head of its last chunk."""
        reply = await self._open_reply()
        received = self._books.received
        scanner, opened, clock = received.scanner, self._open, self._clock
        keep = self._request.repeatable is not None
        while not scanner.done:
            opened.waiting_since = clock()
            data = await reply.read()
            opened.waiting_since = None
            if not data:
                break
            frames = scanner.feed(data)
            if frames:
                if received.first_content_ms is None and scanner.has_content:
                    received.first_content_ms = round((clock() - self._began) * 1000)
                    self._attempts.answers()
                received.relayed = True
                if keep:
                    received.frames.append(frames)
                await sink.write(frames)
            if scanner.error is not None:
                raise UpstreamError(model=self._model.id)
        if not scanner.done:
            raise UpstreamError(model=self._model.id)
        return scanner.last

    async def _finish(self, sink: StreamingSink) -> None:
        """Capture a stream that the engine has ended, and tell the caller."""
        received = self._books.received
        usage = self._books.at_tier(received.scanner.final_usage or self._books.count(), received.scanner.last)
        body: dict[str, Any] = {}
        if self._request.repeatable is not None:
            body = assemble(received.frames)
            self._show_usage(body, usage, self._charge(usage))
        settled = await self._settle(usage, body)
        await sink.write(last_frames(self._request, received.scanner.last, usage, self._charged(usage, settled)))

    async def _settle(self, usage: Usage, body: dict[str, Any]) -> Settled | None:
        """Capture a completed call, with its reply where it may be asked for again."""
        kept = None
        if self._request.repeatable is not None:
            kept = _encode(Kept(self._charge(usage), body))
        future = self._hold.settle(self._books.settlement(usage, CallOutcome.COMPLETED, kept))
        self._open.paid = True
        return await settled_soon(future)

    async def _whole(self) -> dict[str, Any]:
        return self._parse_whole(await self._read_whole(self._books.received.parts, MAX_REPLY_BYTES))

    def _parse_whole(self, whole: bytes) -> dict[str, Any]:
        try:
            body = _decode(whole)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamError(model=self._model.id) from None
        if not isinstance(body, dict) or not isinstance(body.get("choices"), list) or body.get("error"):
            raise UpstreamError(model=self._model.id)
        return body

    def _relayed(self) -> bool:
        return self._books.received.relayed

    def _forget(self) -> None:
        self._books.begin()

    def _broken_off(self) -> Settlement:
        return self._books.broken_off(gone=isinstance(self._open.reason, CallerLeft))

    def _charge(self, usage: Usage) -> int:
        """Return what the caller pays: never more than was held."""
        return min(self._books.cost_nusd(usage), self._hold.granted_nusd)

    def _charged(self, usage: Usage, settled: Settled | None) -> int:
        return settled.charged_nusd if settled is not None else self._charge(usage)

    def _show_usage(self, body: dict[str, Any], usage: Usage, cost_nusd: int) -> None:
        body["usage"] = usage_object(usage, cost_nusd / NUSD_PER_USD, details=self._request.seed_fields)


def last_frames(request: ChatRequest, last: dict[str, Any], usage: Usage, cost_nusd: int) -> bytes:
    """Return the end of a stream: the usage with its cost where the caller wants it, and `[DONE]`."""
    if not request.include_usage:
        return DONE
    shown = usage_object(usage, cost_nusd / NUSD_PER_USD, details=request.seed_fields)
    return usage_chunk(last, shown, seed_fields=request.seed_fields) + DONE
