"""One paid call between its hold and its settlement: engine after engine, interrupted at any time.

What it costs, and what its caller receives, is the business of each kind of call.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from minitoolai.core.errors import ApiError, MiniToolError, ServerError, UpstreamError, UpstreamTimeout
from minitoolai.core.ledger import Settlement
from minitoolai.core.sse import SseError, event
from minitoolai.services.attempts import Attempts
from minitoolai.services.calls import OpenCall, OpenCalls
from minitoolai.services.metering import Hold, settled_soon
from minitoolai.services.ports import EngineReply, ReplySink
from minitoolai.services.routing import AnyEngine, AnyModel

Result = TypeVar("Result")


class EngineCall(ABC, Generic[AnyModel, AnyEngine]):
    """A call between its hold and its settlement. Leaving its `with` block settles it in every case."""

    def __init__(
        self,
        model: AnyModel,
        attempts: Attempts[AnyModel, AnyEngine],
        hold: Hold,
        calls: OpenCalls,
        produced_nusd: Callable[[], int],
    ) -> None:
        self._model = model
        self._attempts = attempts
        self._hold = hold
        self._calls = calls
        task = asyncio.current_task()
        assert task is not None
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._open = OpenCall(hold.id, task, produced_nusd)
        #: Loop time by which the call must have ended, whichever engine answers it.
        self._until = self._open.deadline = self._began + attempts.engine.total_s
        self._open.expire = lambda: UpstreamTimeout(model=self._model.id)

    def __enter__(self) -> None:
        self._calls.add(self._open)

    def __exit__(self, *_: object) -> None:
        self._attempts.end()
        try:
            if not self._hold.settled:
                self._hold.settle(self._broken_off())
        finally:
            self._attempts.tell(self._hold.facts)
            self._calls.remove(self._open)
            self._open.let_go()

    @abstractmethod
    def _broken_off(self) -> Settlement:
        """Return how the call ends that was not completed."""

    def _relayed(self) -> bool:
        """Whether the caller has part of a reply, so that no other engine may be tried."""
        return False

    def _forget(self) -> None:
        """Forget what the last engine sent: the next is called."""

    async def _tried(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Run `attempt` with one engine after the other until it succeeds; return its result.

        Raises `ApiError` when none does or the caller has part of a reply, once the call is settled; and `CallerLeft`.
        """
        while True:
            failure: MiniToolError
            cause: BaseException | None = None
            try:
                done = await attempt()
            except asyncio.CancelledError:
                failure = self._interrupted()
            except SseError as error:
                failure, cause = UpstreamError(model=self._model.id), error
            except ApiError as error:
                failure, cause = error, error.__cause__
            else:
                self._attempts.worked()
                return done
            if not isinstance(failure, ApiError):
                raise failure from None
            self._open.waiting_since = None
            now = self._clock()
            if self._relayed() and now >= self._open.deadline:
                self._attempts.worked()  # it wrote as long as the call had time
            if not self._attempts.failed(failure, again=not self._relayed() and now < self._until):
                await self._end()
                shown = self._attempts.outcome(failure)
                raise shown from cause if shown is failure else None
            self._open.reason = None
            self._open.deadline = min(self._until, now + self._attempts.engine.total_s)
            self._forget()

    async def _end(self) -> None:
        """Settle a call that failed before its caller is told so: who calls again at once finds the money released, and
        the Idempotency-Key free."""
        self._attempts.close()
        if self._hold.settled:
            return
        future = self._hold.settle(self._broken_off())
        try:
            await settled_soon(future)
        except asyncio.CancelledError:
            raise self._interrupted() from None

    async def _fail(self, sink: ReplySink, error: MiniToolError) -> None:
        """End a stream of events with one of an error, or raise `error` while there is none; the call is settled first."""
        await self._end()
        if not sink.started:
            raise error
        shown = error if isinstance(error, ApiError) else ServerError()
        self._hold.facts.error = shown.code
        await sink.write(event(shown.shown()))

    async def _open_reply(self) -> EngineReply:
        reply = await self._attempts.open()
        self._open.between_bytes_s = self._attempts.engine.between_bytes_s
        return reply

    async def _read_whole(self, parts: list[bytes], limit: int) -> bytes:
        """Call an engine and read its reply to the end, into `parts` as it comes; `limit`: bytes of it at most."""
        reply = await self._open_reply()
        size = 0
        while True:
            self._open.waiting_since = self._clock()
            part = await reply.read()
            self._open.waiting_since = None
            if not part:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            if not parts:
                self._attempts.answers()
            parts.append(part)
            size += len(part)
            if size > limit:
                raise UpstreamError(model=self._model.id)

    def _interrupted(self) -> MiniToolError:
        """Return why the task was cancelled; it goes on after that."""
        self._open.waiting_since = None
        return self._open.interrupted()
