"""One call for embeddings between its hold and its settlement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from minitoolai.core.catalog import EmbeddingModel
from minitoolai.core.embeddings import Embedded, read_reply
from minitoolai.core.errors import UpstreamError
from minitoolai.core.inference import Usage
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome, Rates, Settled, Settlement
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.services.attempts import Attempts
from minitoolai.services.calls import OpenCalls
from minitoolai.services.embedding_bounds import EmbeddingBounds
from minitoolai.services.engine_call import EngineCall
from minitoolai.services.metering import Hold, settled_soon
from minitoolai.services.ports import EmbeddingEngine, EngineReply
from minitoolai.services.routing import Path

#: A reply larger than this is a fault of the engine: 2048 vectors of 3072 numbers are some 145 MB of indented text.
MAX_REPLY_BYTES = 256 * 1024 * 1024
#: A reply larger than this is read off the event loop: reading takes about 5 ms a megabyte.
LARGE_REPLY_BYTES = 1024 * 1024

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class EmbeddingsReply:
    """A finished reply."""

    #: OpenAI's JSON, its usage with the cost.
    body: bytes
    cost_nusd: int
    #: The account's balance after the capture; None when the database was away at that moment.
    balance_nusd: int | None
    #: How the key's minute stands.
    rates: Rates | None = None
    #: Whether it is the reply of an earlier call, given again.
    replayed: bool = False


class KeptEmbeddings(msgspec.Struct, frozen=True):
    """A finished reply as it is kept for callers that repeat their call."""

    cost_nusd: int
    body: msgspec.Raw


class EmbeddingAttempts(Attempts[EmbeddingModel, EmbeddingEngine]):
    """The engines of one call for embeddings."""

    def __init__(self, paths: Sequence[Path[EmbeddingModel, EmbeddingEngine]], bounds: EmbeddingBounds) -> None:
        super().__init__(paths, bounds.model.id)
        self._request = bounds.request

    async def open(self) -> EngineReply:
        """Call the next engine; return its reply once its headers are there. Errors: `EmbeddingEngine.open`."""
        return await self._call(lambda path: path.engine.open(path.model, self._request))


class EmbeddingCall(EngineCall[EmbeddingModel, EmbeddingEngine]):
    """A call between its hold and its settlement."""

    def __init__(self, bounds: EmbeddingBounds, attempts: EmbeddingAttempts, hold: Hold, calls: OpenCalls) -> None:
        super().__init__(bounds.model, attempts, hold, calls, lambda: 0)
        self._bounds = bounds

    async def run(self) -> EmbeddingsReply:
        """Run the call and return its reply. Raises `ApiError`, `CallerLeft`."""
        try:
            embedded = await self._tried(self._embed)
        except CallerLeft:
            self._attempts.close()
            if self._attempts.reply is not None:
                await asyncio.to_thread(self._bounds.count_here)  # it is charged: half a second's work for the longest
            raise
        try:
            usage = embedded.usage or Usage(await asyncio.to_thread(self._bounds.count_here), 0)
            settled = await self._settle(usage, embedded)
        except asyncio.CancelledError:
            raise self._interrupted() from None
        cost = settled.charged_nusd if settled is not None else self._charge(usage)
        balance = settled.balance_nusd if settled is not None else None
        return EmbeddingsReply(self._body(embedded, usage, cost), cost, balance, self._hold.rates)

    async def _embed(self) -> Embedded:
        raw = await self._read_whole([], MAX_REPLY_BYTES)
        try:
            if len(raw) > LARGE_REPLY_BYTES:
                return await asyncio.to_thread(read_reply, raw, self._bounds.request)
            return read_reply(raw, self._bounds.request)
        except ValueError as error:
            log.warning("engine %s sent a reply that cannot be used: %s", self._attempts.engine.name, error)
            raise UpstreamError(model=self._model.id) from None

    async def _settle(self, usage: Usage, embedded: Embedded) -> Settled | None:
        """Capture a completed call, with its reply where it may be asked for again."""
        kept = None
        if self._bounds.request.repeatable is not None:
            cost = self._charge(usage)
            kept = _encode(KeptEmbeddings(cost, msgspec.Raw(self._body(embedded, usage, cost))))
        future = self._hold.settle(self._settlement(usage, CallOutcome.COMPLETED, kept))
        self._open.paid = True
        return await settled_soon(future)

    def _broken_off(self) -> Settlement:
        """Return how a call ends that was not completed: it is charged only where its caller left once the engine had
        done the work, which its headers tell."""
        gone = isinstance(self._open.reason, CallerLeft)
        usage = Usage(self._bounds.count_here(), 0) if gone and self._attempts.reply is not None else Usage(0, 0)
        return self._settlement(usage, CallOutcome.ABANDONED if gone else CallOutcome.FAILED)

    def _settlement(self, usage: Usage, outcome: CallOutcome, reply: bytes | None = None) -> Settlement:
        prices = self._model.prices
        return Settlement(
            hold_id=self._hold.id,
            cost_nusd=prices.usage_cost_nusd(usage),
            outcome=outcome,
            prompt_tokens=usage.prompt_tokens,
            counted_by_gateway=usage.reported is None,
            input_nusd_per_1m=prices.input_nusd_per_1m,
            cached_tokens=usage.cached_tokens,
            cached_nusd_per_1m=prices.cached_input_nusd_per_1m,
            engine=self._attempts.engine.name,
            reply=reply,
        )

    def _charge(self, usage: Usage) -> int:
        """Return what the caller pays: never more than was held."""
        return min(self._model.prices.usage_cost_nusd(usage), self._hold.granted_nusd)

    def _body(self, embedded: Embedded, usage: Usage, cost_nusd: int) -> bytes:
        return embedded.body(self._model.id, usage.prompt_tokens, cost_nusd / NUSD_PER_USD)
