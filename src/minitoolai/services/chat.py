"""One chat call: bound its cost, hold, run the engine, capture what it cost.

What costs what stands in contract §7; each row of that table is one branch of `_ChatCall.settlement`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog
from minitoolai.core.errors import (
    ApiError,
    CallerLeft,
    InsufficientCredit,
    MiniToolError,
    NoEngine,
    ServerError,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.inference import ChatRequest, Usage, parse_usage, usage_object
from minitoolai.core.ledger import CallOutcome, Settled, Settlement
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.core.sse import DONE, ChatScanner, SseError, delta_texts, event, partial_content, usage_chunk
from minitoolai.core.tokens import count_text
from minitoolai.services.access import check_model
from minitoolai.services.bounds import Bounds
from minitoolai.services.calls import KeepAlive, OpenCall, OpenCalls
from minitoolai.services.metering import Hold, Metering, settled_soon
from minitoolai.services.ports import ChatEngine, EngineReply, ReplySink

#: A prompt bound that would hold more than this share of what is available is counted exactly first.
LARGE_SHARE = 4
#: A longer prompt is counted before its call, off the event loop: counting takes about 40 µs a kilobyte.
LONG_PROMPT_BYTES = 32 * 1024
#: A whole reply larger than this is a fault of the engine.
MAX_REPLY_BYTES = 64 * 1024 * 1024

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class WholeReply:
    """A finished reply."""

    body: bytes
    cost_nusd: int
    #: The account's balance after the capture; None when the database was away at that moment.
    balance_nusd: int | None


class StreamingSink(ReplySink, KeepAlive, Protocol):
    """A caller's connection that the clock of the open calls may write to as well."""


class Chat:
    """The chat use case."""

    def __init__(self, catalog: Catalog, engines: dict[str, ChatEngine], metering: Metering, calls: OpenCalls) -> None:
        self._catalog = catalog
        self._engines = engines
        self._metering = metering
        self._calls = calls
        #: What each account had left at its last hold: tells when a coarse bound is worth counting exactly.
        self._last_available: dict[int, int] = {}

    async def whole(self, principal: Principal, call_id: UUID, request: ChatRequest) -> WholeReply:
        """Run a call whose reply is sent in one piece. Raises `ApiError`, and `CallerLeft` when interrupted so."""
        call = await self._begin(principal, call_id, request)
        with call:
            return await call.run_whole()

    async def stream(self, principal: Principal, call_id: UUID, request: ChatRequest, sink: StreamingSink) -> None:
        """Run a call whose reply is streamed into `sink`. Raises `ApiError` only while `sink` has not started."""
        call = await self._begin(principal, call_id, request)
        with call:
            await call.run_stream(sink)

    async def _begin(self, principal: Principal, call_id: UUID, request: ChatRequest) -> _ChatCall:
        model = self._catalog.chat_model(request.model)
        check_model(principal, model)
        engine = self._engines.get(model.engine or "")
        if engine is None:
            raise NoEngine(param="model", model=model.id, retry_after_s=30)
        bounds = Bounds(model, request)
        last = self._last_available.get(principal.account_id)
        large = last is not None and bounds.wanted_nusd() * LARGE_SHARE > last
        if large or bounds.prompt_tokens > min(model.context_tokens, LONG_PROMPT_BYTES):
            await bounds.count_exactly(engine)
        await bounds.check_cap(engine)
        try:
            hold = await self._hold(principal, call_id, bounds, engine)
        except InsufficientCredit:
            if bounds.exact:
                raise
            await bounds.count_exactly(engine)
            hold = await self._hold(principal, call_id, bounds, engine)
        if len(self._last_available) > 100_000:
            self._last_available.clear()
        self._last_available[principal.account_id] = hold.available_nusd
        return _ChatCall(bounds, engine, hold, self._calls)

    async def _hold(self, principal: Principal, call_id: UUID, bounds: Bounds, engine: ChatEngine) -> Hold:
        return await self._metering.hold(
            principal,
            call_id,
            min_nusd=bounds.min_nusd(),
            wanted_nusd=bounds.wanted_nusd(),
            model=bounds.model.id,
            engine=engine.name,
        )


class _ChatCall:
    """A call between its hold and its settlement. Leaving its `with` block settles it in every case."""

    def __init__(self, bounds: Bounds, engine: ChatEngine, hold: Hold, calls: OpenCalls) -> None:
        self._bounds = bounds
        self._model = bounds.model
        self._request = bounds.request
        self._engine = engine
        self._hold = hold
        self._calls = calls
        self._reply: EngineReply | None = None
        self._scanner = ChatScanner(seed_fields=bounds.request.seed_fields)
        #: What was received of a whole reply.
        self._parts: list[bytes] = []
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._open = OpenCall(hold.id, task, self._produced)
        self._open.between_bytes_s = engine.between_bytes_s
        self._open.deadline = asyncio.get_running_loop().time() + engine.total_s
        self._open.expire = lambda: UpstreamTimeout(model=self._model.id)

    def __enter__(self) -> None:
        self._calls.add(self._open)

    def __exit__(self, *_: object) -> None:
        if self._reply is not None:
            self._reply.close()
        try:
            if not self._hold.settled:
                self._hold.settle(self._settlement(None))
        finally:
            self._calls.remove(self._open)

    async def run_whole(self) -> WholeReply:
        """Run the call and return its reply. Raises `ApiError`, `CallerLeft`."""
        try:
            body = self._parse_whole(await self._read_whole())
            usage = parse_usage(body.get("usage")) or self._count(delta_texts(body))
            future = self._hold.settle(self._settlement(usage))
            # It is paid for: neither a drain nor a deadline may turn it into an error any more.
            self._calls.remove(self._open)
            settled = await settled_soon(future)
        except asyncio.CancelledError:
            raise self._interrupted() from None
        cost = self._charged(usage, settled)
        body["usage"] = usage_object(usage, cost / NUSD_PER_USD, details=self._request.seed_fields)
        return WholeReply(_encode(body), cost, settled.balance_nusd if settled else None)

    async def run_stream(self, sink: StreamingSink) -> None:
        """Run the call into `sink`. Raises `ApiError` while `sink` has not started, `CallerLeft` at any time."""
        self._open.sink = sink
        try:
            await self._relay(sink)
        except asyncio.CancelledError:
            failure = self._interrupted()
            if isinstance(failure, CallerLeft):
                raise failure from None
            await self._fail(sink, failure)
        except SseError as error:
            await self._fail(sink, UpstreamError(model=self._model.id), error)
        except ApiError as error:
            await self._fail(sink, error)

    async def _relay(self, sink: StreamingSink) -> None:
        reply = await self._open_reply()
        scanner = self._scanner
        opened = self._open
        clock = asyncio.get_running_loop().time
        while not scanner.done:
            opened.waiting_since = clock()
            data = await reply.read()
            opened.waiting_since = None
            if not data:
                break
            frames = scanner.feed(data)
            if frames:
                await sink.write(frames)
            if scanner.error is not None:
                raise UpstreamError(model=self._model.id)
        if not scanner.done:
            raise UpstreamError(model=self._model.id)
        usage = scanner.usage or self._count()
        settled = await settled_soon(self._hold.settle(self._settlement(usage)))
        await sink.write(self._last_frames(usage, settled))

    async def _fail(self, sink: StreamingSink, error: MiniToolError, cause: Exception | None = None) -> None:
        """End a stream with an error event, or raise `error` while there is none; the call is settled first."""
        if self._reply is not None:
            self._reply.close()
        if not self._hold.settled:
            await settled_soon(self._hold.settle(self._settlement(None)))
        if not sink.started:
            raise error from cause
        shown = error if isinstance(error, ApiError) else ServerError()
        await sink.write(event(shown.shown()))

    async def _open_reply(self) -> EngineReply:
        bounds, granted = self._bounds, self._hold.granted_nusd
        if granted < bounds.wanted_nusd() and not bounds.exact:
            await bounds.count_exactly(self._engine)  # a coarse bound would shorten the answer for nothing
        limit = bounds.affordable_tokens(granted)
        self._reply = await self._engine.open(self._model, self._request, limit)
        return self._reply

    async def _read_whole(self) -> bytes:
        reply = await self._open_reply()
        clock = asyncio.get_running_loop().time
        size = 0
        while True:
            self._open.waiting_since = clock()
            part = await reply.read()
            self._open.waiting_since = None
            if not part:
                return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.append(part)
            size += len(part)
            if size > MAX_REPLY_BYTES:
                raise UpstreamError(model=self._model.id)

    def _interrupted(self) -> MiniToolError:
        """Return why the task was cancelled; it goes on after that."""
        self._open.waiting_since = None
        self._task.uncancel()
        if self._open.reason is None:
            self._open.reason = CallerLeft()
        return self._open.reason

    def _parse_whole(self, whole: bytes) -> dict[str, Any]:
        try:
            body = _decode(whole)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamError(model=self._model.id) from None
        if not isinstance(body, dict) or not isinstance(body.get("choices"), list) or body.get("error"):
            raise UpstreamError(model=self._model.id)
        return body

    def _last_frames(self, usage: Usage, settled: Settled | None) -> bytes:
        if not self._request.include_usage:
            return DONE
        cost = self._charged(usage, settled)
        seed_fields = self._request.seed_fields
        shown = usage_object(usage, cost / NUSD_PER_USD, details=seed_fields)
        return usage_chunk(self._scanner.last, shown, seed_fields=seed_fields) + DONE

    def _charged(self, usage: Usage, settled: Settled | None) -> int:
        if settled is not None:
            return settled.charged_nusd
        return min(self._model.prices.usage_cost_nusd(usage), self._hold.granted_nusd)

    def _count(self, texts: list[str] | None = None) -> Usage:
        """Count what the engine did not report: the prompt, and `texts`, or the stream's output so far."""
        counted = self._reply.counted() if self._reply is not None else None
        if counted is not None:
            return counted
        text = self._scanner.text() if texts is None else "".join(texts)
        return Usage(self._bounds.count_prompt(), count_text(text))

    def _settlement(self, usage: Usage | None) -> Settlement:
        """Return how the call ends: `usage` where it was completed, None where it broke off."""
        outcome = CallOutcome.COMPLETED
        if usage is None:
            usage, outcome = self._broken_off(gone=isinstance(self._open.reason, CallerLeft))
        counted = usage.reported is None
        prices = self._model.prices
        return Settlement(
            hold_id=self._hold.id,
            cost_nusd=prices.usage_cost_nusd(usage),
            outcome=outcome,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            counted_by_gateway=counted,
            input_nusd_per_1m=prices.input_nusd_per_1m,
            output_nusd_per_1m=prices.output_nusd_per_1m,
        )

    def _broken_off(self, *, gone: bool) -> tuple[Usage, CallOutcome]:
        """Return what a call that did not end is charged for: nothing before its first content, unless the caller
        left a reply that had begun."""
        outcome = CallOutcome.ABANDONED if gone else CallOutcome.FAILED
        begun = gone and self._reply is not None
        if self._request.stream and (begun or self._scanner.has_content):
            return self._scanner.usage or self._count(), outcome if gone else CallOutcome.CUT
        if begun:
            return self._count([partial_content(b"".join(self._parts))]), outcome
        return Usage(0, 0), outcome

    def _produced(self) -> int:
        """Return what the call would cost if it ended now, each chunk taken for a token where nothing is counted."""
        if not self._scanner.has_content or self._reply is None:
            return 0
        counted = self._reply.counted() or Usage(self._bounds.count_prompt(), self._scanner.chunks)
        return self._model.prices.usage_cost_nusd(counted)
