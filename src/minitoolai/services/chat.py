"""The chat use case: bound a call's cost, hold it, run it (`chat_call`)."""

from __future__ import annotations

from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog
from minitoolai.core.errors import InsufficientCredit, NoEngine
from minitoolai.core.inference import ChatRequest
from minitoolai.services.access import check_model
from minitoolai.services.bounds import Bounds
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat_call import ChatCall, StreamingSink, WholeReply
from minitoolai.services.metering import Hold, Metering
from minitoolai.services.ports import ChatEngine

__all__ = ["Chat", "StreamingSink", "WholeReply"]

#: A prompt bound that would hold more than this share of what is available is counted exactly first.
LARGE_SHARE = 4
#: A longer prompt is counted before its call, off the event loop: counting takes about 40 µs a kilobyte.
LONG_PROMPT_BYTES = 32 * 1024
#: Accounts whose last balance is remembered at most.
MOST_REMEMBERED = 100_000


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

    async def _begin(self, principal: Principal, call_id: UUID, request: ChatRequest) -> ChatCall:
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
        if len(self._last_available) > MOST_REMEMBERED:
            self._last_available.clear()
        self._last_available[principal.account_id] = hold.available_nusd
        return ChatCall(bounds, engine, hold, self._calls)

    async def _hold(self, principal: Principal, call_id: UUID, bounds: Bounds, engine: ChatEngine) -> Hold:
        return await self._metering.hold(
            principal,
            call_id,
            min_nusd=bounds.min_nusd(),
            wanted_nusd=bounds.wanted_nusd(),
            model=bounds.model.id,
            engine=engine.name,
        )
