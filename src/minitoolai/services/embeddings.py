"""The embeddings use case: bound a call's cost, hold it, run it (`embedding_call`), or give an earlier reply again."""

from __future__ import annotations

from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, EmbeddingModel
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import NoEngine
from minitoolai.core.inner_errors import AlreadyAnswered
from minitoolai.core.quotes import Quote, QuoteLine
from minitoolai.core.records import CallFacts
from minitoolai.services.access import check_model
from minitoolai.services.calls import OpenCalls
from minitoolai.services.embedding_bounds import EmbeddingBounds
from minitoolai.services.embedding_call import EmbeddingAttempts, EmbeddingCall, EmbeddingsReply, KeptEmbeddings
from minitoolai.services.metering import Hold, Metering, earlier_reply, look_back
from minitoolai.services.ports import EmbeddingEngine, Replays
from minitoolai.services.routing import Path, Router

__all__ = ["Embeddings", "EmbeddingsReply"]

_Paths = list[Path[EmbeddingModel, EmbeddingEngine]]

_decode_kept = msgspec.json.Decoder(KeptEmbeddings).decode


class Embeddings:
    """The embeddings use case."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router[EmbeddingModel, EmbeddingEngine],
        metering: Metering,
        calls: OpenCalls,
        replays: Replays,
    ) -> None:
        self._catalog = catalog
        self._router = router
        self._metering = metering
        self._calls = calls
        self._replays = replays

    async def embed(
        self, principal: Principal, call_id: UUID, request: EmbeddingRequest, facts: CallFacts | None = None
    ) -> EmbeddingsReply:
        """Run a call; `facts` are told what is learnt of it. Raises `ApiError`, and `CallerLeft` when interrupted so."""
        facts = facts or CallFacts()
        try:
            bounds, paths, hold = await self._begin(principal, call_id, request, facts)
        except AlreadyAnswered as answered:
            facts.replayed = True
            kept = _decode_kept(await earlier_reply(self._replays, answered))
            return EmbeddingsReply(bytes(kept.body), kept.cost_nusd, None, answered.rates, replayed=True)
        with (call := EmbeddingCall(bounds, EmbeddingAttempts(paths, bounds), hold, self._calls)):
            return await call.run()

    async def quote(self, principal: Principal, request: EmbeddingRequest, facts: CallFacts | None = None) -> Quote:
        """Return the most that a call may cost, counted as exactly as before a real one. Raises `ApiError`."""
        bounds, paths = self._bounds(principal, request, facts or CallFacts())
        await bounds.count_exactly(paths[0].engine)
        line = QuoteLine.of_tokens("input tokens", bounds.tokens, bounds.model.prices.input_nusd_per_1m)
        return Quote(bounds.model.id, bounds.wanted_nusd(), None, (line,))

    async def _begin(
        self, principal: Principal, call_id: UUID, request: EmbeddingRequest, facts: CallFacts
    ) -> tuple[EmbeddingBounds, _Paths, Hold]:
        try:
            bounds, paths = self._bounds(principal, request, facts)
        except NoEngine:
            await look_back(self._replays, principal, request.repeatable)
            raise
        engine = paths[0].engine
        if bounds.doubtful:
            await bounds.count_exactly(engine)
        await bounds.check_cap(engine, request.max_cost_nusd)
        hold = await bounds.held(engine, lambda: self._hold(principal, call_id, bounds, engine, facts))
        return bounds, paths, hold

    def _bounds(self, principal: Principal, request: EmbeddingRequest, facts: CallFacts) -> tuple[EmbeddingBounds, _Paths]:
        facts.asked = request.model
        model = self._catalog.embedding_model(request.model)
        facts.model = model.id
        check_model(principal, model)
        bounds, paths = EmbeddingBounds(model, request), self._router.paths(model)
        paths[0].engine.check(model, request)
        return bounds, paths

    async def _hold(
        self, principal: Principal, call_id: UUID, bounds: EmbeddingBounds, engine: EmbeddingEngine, facts: CallFacts
    ) -> Hold:
        cost = bounds.wanted_nusd()
        return await self._metering.hold(
            principal,
            call_id,
            min_nusd=cost,
            wanted_nusd=cost,
            model=bounds.model.id,
            engine=engine.name,
            min_tokens=bounds.tokens,
            wanted_tokens=bounds.tokens,
            repeatable=bounds.request.repeatable,
            facts=facts,
        )
