"""One chat call between its hold and its settlement.

What costs what stands in docs/concepts/money.md; each row of that table is one branch of `ChatCall._settlement`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from minitoolai.core.chat_stream import ChatScanner, delta_texts, partial_content, usage_chunk
from minitoolai.core.errors import (
    ApiError,
    CallerLeft,
    MiniToolError,
    ServerError,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.inference import Usage, parse_usage, usage_object
from minitoolai.core.ledger import CallOutcome, Settled, Settlement
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.core.sse import DONE, SseError, event
from minitoolai.core.tokens import count_text
from minitoolai.services.bounds import Bounds
from minitoolai.services.calls import KeepAlive, OpenCall, OpenCalls
from minitoolai.services.metering import Hold, settled_soon
from minitoolai.services.ports import ChatEngine, EngineReply, ReplySink

#: A whole reply larger than this is a fault of the engine.
MAX_REPLY_BYTES = 64 * 1024 * 1024

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class WholeReply:
    """A finished reply."""

    #: A `chat.completion`, its `usage` with the cost.
    body: dict[str, Any]
    cost_nusd: int
    #: The account's balance after the capture; None when the database was away at that moment.
    balance_nusd: int | None


class StreamingSink(ReplySink, KeepAlive, Protocol):
    """A caller's connection that the clock of the open calls may write to as well."""


class ChatCall:
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
        except Exception:
            # Whatever could not be counted, a call is never released for nothing by omission.
            log.exception("call %s cannot be counted; it is charged what it was known to have cost", self._hold.id)
            if not self._hold.settled:
                outcome = CallOutcome.CUT if self._scanner.has_content else CallOutcome.FAILED
                self._hold.settle(Settlement(self._hold.id, self._produced(), outcome, counted_by_gateway=True))
        finally:
            self._calls.remove(self._open)
            self._open.let_go()

    async def run_whole(self) -> WholeReply:
        """Run the call and return its reply. Raises `ApiError`, `CallerLeft`."""
        try:
            body = self._parse_whole(await self._read_whole())
            usage = parse_usage(body.get("usage")) or self._count(delta_texts(body))
            future = self._hold.settle(self._settlement(usage))
            self._open.paid = True
            settled = await settled_soon(future)
        except asyncio.CancelledError:
            raise self._interrupted() from None
        cost = self._charged(usage, settled)
        body["usage"] = usage_object(usage, cost / NUSD_PER_USD, details=self._request.seed_fields)
        return WholeReply(body, cost, settled.balance_nusd if settled else None)

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
        future = self._hold.settle(self._settlement(usage))
        self._open.paid = True
        settled = await settled_soon(future)
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
            return self._scanner.final_usage or self._count(), outcome if gone else CallOutcome.CUT
        if begun:
            return self._count([partial_content(b"".join(self._parts))]), outcome
        return Usage(0, 0), outcome

    def _produced(self) -> int:
        """Return what the call has cost so far, on the low side: its process tells this at every renewal of its lease,
        and may not stop to count. Each chunk is taken for a token."""
        if not self._scanner.has_content or self._reply is None:
            return 0
        counted = self._reply.counted() or Usage(self._bounds.prompt_so_far(), self._scanner.chunks)
        return self._model.prices.usage_cost_nusd(counted)
