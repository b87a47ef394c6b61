"""The chat use case: bound a call's cost, hold it, run it (`chat_call`), or give an earlier reply again."""

from __future__ import annotations

from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, ChatModel
from minitoolai.core.chat_assembly import as_stream
from minitoolai.core.errors import NoEngine
from minitoolai.core.inference import ChatRequest, parse_usage
from minitoolai.core.inner_errors import AlreadyAnswered
from minitoolai.core.quotes import Quote, QuoteLine
from minitoolai.core.records import CallFacts
from minitoolai.services.access import check_model
from minitoolai.services.bounds import Bounds
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat_attempts import ChatAttempts
from minitoolai.services.chat_call import ChatCall, Kept, StreamingSink, WholeReply, last_frames
from minitoolai.services.metering import Hold, Metering, earlier_reply, look_back
from minitoolai.services.ports import ChatEngine, Pictures, Replays
from minitoolai.services.routing import Path, Router

__all__ = ["Chat", "StreamingSink", "WholeReply"]

#: A prompt bound that would hold more than this share of what is available is counted exactly first.
LARGE_SHARE = 4
#: A longer prompt is counted before its call, off the event loop: counting takes about 40 µs a kilobyte.
LONG_PROMPT_BYTES = 32 * 1024
#: Accounts whose last balance is remembered at most.
MOST_REMEMBERED = 100_000

_decode_kept = msgspec.json.Decoder(Kept).decode


class Chat:
    """The chat use case."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router[ChatModel, ChatEngine],
        metering: Metering,
        calls: OpenCalls,
        pictures: Pictures,
        replays: Replays,
    ) -> None:
        self._catalog = catalog
        self._router = router
        self._metering = metering
        self._calls = calls
        self._pictures = pictures
        self._replays = replays
        #: What each account had left at its last hold: tells when a coarse bound is worth counting exactly.
        self._last_available: dict[int, int] = {}

    async def whole(
        self, principal: Principal, call_id: UUID, request: ChatRequest, facts: CallFacts | None = None
    ) -> WholeReply:
        """Run a call whose reply is sent in one piece; `facts` are told what is learnt of it.

        Raises `ApiError`, and `CallerLeft` when interrupted so.
        """
        facts = facts or CallFacts()
        try:
            call = await self._begin(principal, call_id, request, facts)
        except AlreadyAnswered as answered:
            facts.replayed = True
            kept = _decode_kept(await earlier_reply(self._replays, answered))
            return WholeReply(kept.body, kept.cost_nusd, None, answered.rates, replayed=True)
        with call:
            return await call.run_whole()

    async def stream(
        self,
        principal: Principal,
        call_id: UUID,
        request: ChatRequest,
        sink: StreamingSink,
        facts: CallFacts | None = None,
    ) -> None:
        """Run a call whose reply is streamed into `sink`; `facts` are told what is learnt of it.

        Raises `ApiError` only while `sink` has not started.
        """
        facts = facts or CallFacts()
        try:
            call = await self._begin(principal, call_id, request, facts)
        except AlreadyAnswered as answered:
            facts.replayed = True
            kept = _decode_kept(await earlier_reply(self._replays, answered))
            sink.granted(answered.rates, replayed=True)
            usage = parse_usage(kept.body.get("usage"))
            assert usage is not None  # it was kept with its usage
            end = last_frames(request, kept.body, usage, kept.cost_nusd)
            await sink.write(b"".join([*as_stream(kept.body, seed_fields=request.seed_fields), end]))
            return
        with call:
            await call.run_stream(sink)

    async def quote(self, principal: Principal, request: ChatRequest, facts: CallFacts | None = None) -> Quote:
        """Return the most that a call may cost, counted as exactly as before a real one. Raises `ApiError`."""
        bounds, paths = self._bounds(principal, request, facts or CallFacts())
        await bounds.count_exactly(paths[0].engine)
        prices = bounds.held_prices
        text_tokens, written = bounds.prompt_tokens - bounds.image_tokens, bounds.completion_tokens * request.choices
        lines = [QuoteLine.of_tokens("input tokens", text_tokens, prices.input_nusd_per_1m)]
        if request.images:
            lines.append(QuoteLine.of_tokens("image tokens", bounds.image_tokens, prices.input_nusd_per_1m))
        lines.append(QuoteLine.of_tokens("output tokens", written, prices.output_nusd_per_1m))
        if bounds.fees_nusd:
            lines.append(QuoteLine("web search", 1, None, bounds.fees_nusd))
        return Quote(bounds.model.id, bounds.wanted_nusd(), bounds.completion_tokens, tuple(lines))

    async def count(self, principal: Principal, request: ChatRequest, facts: CallFacts | None = None) -> int:
        """Return the tokens of a call's prompt as its first engine counts them. Raises `ApiError`."""
        bounds, paths = self._bounds(principal, request, facts or CallFacts())
        return await bounds.count(paths[0].engine)

    async def _begin(self, principal: Principal, call_id: UUID, request: ChatRequest, facts: CallFacts) -> ChatCall:
        facts.stream = request.stream
        try:
            bounds, paths = self._bounds(principal, request, facts)
        except NoEngine:
            await look_back(self._replays, principal, request.repeatable)
            raise
        engine = paths[0].engine
        last = self._last_available.get(principal.account_id)
        large = last is not None and bounds.wanted_nusd() * LARGE_SHARE > last
        if large or bounds.prompt_tokens > min(bounds.model.context_tokens, LONG_PROMPT_BYTES):
            await bounds.count_exactly(engine)
        await bounds.check_cap(engine, request.max_cost_nusd)
        hold = await bounds.held(engine, lambda: self._hold(principal, call_id, bounds, engine, facts))
        if len(self._last_available) > MOST_REMEMBERED:
            self._last_available.clear()
        self._last_available[principal.account_id] = hold.available_nusd
        return ChatCall(bounds, ChatAttempts(paths, bounds, hold, self._pictures), hold, self._calls)

    def _bounds(
        self, principal: Principal, request: ChatRequest, facts: CallFacts
    ) -> tuple[Bounds, list[Path[ChatModel, ChatEngine]]]:
        facts.asked = request.model
        model = self._catalog.chat_model(request.model)
        facts.model = model.id
        check_model(principal, model)
        bounds, paths = Bounds(model, request), self._router.paths(model)
        paths[0].engine.check(model, request)
        return bounds, paths

    async def _hold(self, principal: Principal, call_id: UUID, bounds: Bounds, engine: ChatEngine, facts: CallFacts) -> Hold:
        return await self._metering.hold(
            principal,
            call_id,
            min_nusd=bounds.min_nusd(),
            wanted_nusd=bounds.wanted_nusd(),
            model=bounds.model.id,
            engine=engine.name,
            min_tokens=bounds.min_tokens(),
            wanted_tokens=bounds.wanted_tokens(),
            repeatable=bounds.request.repeatable,
            facts=facts,
        )
