"""Embeddings with engines in memory, and a way to stop a call anywhere."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minitoolai.core.catalog import Catalog, ChatModel, EmbeddingModel, Route
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import ApiError
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.records import CallFacts
from minitoolai.services.calls import OpenCalls
from minitoolai.services.embeddings import Embeddings, EmbeddingsReply
from minitoolai.services.metering import Metering, new_call_id
from minitoolai.services.ports import EmbeddingEngine
from minitoolai.services.routing import Router
from tests.support.fakes import FakeLedger, FakeReplays, FakeReply, Step, principal

#: 1 nano-dollar a token; texts of 10 tokens at most.
MODEL = EmbeddingModel("e", TokenPrices(1_000_000, 0), 10, engine="fake", aliases=("alias",), dimensions=3, cl100k=True)
CHAT = ChatModel("m", TokenPrices(1_000_000, 2_000_000), 1000, 500, engine="fake")
#: 11 and 1 bytes; 2 and 1 tokens.
TEXTS = ("hello world", "a")
REQUEST = EmbeddingRequest("e", {"input": list(TEXTS)}, TEXTS, listed=True)
#: What is held for it: its bytes are over the model's 10 tokens, so that it is counted.
TOKENS = 3


def answer(*vectors: Sequence[float], tokens: int | None = TOKENS) -> bytes:
    """An engine's reply; by default for `REQUEST`."""
    data = [{"index": at, "embedding": list(vector)} for at, vector in enumerate(vectors or ([1.0, 2.0], [3.0, 4.0]))]
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return json.dumps({"data": data, "model": "theirs", **usage}).encode()


class FakeEmbedder:
    """An engine with one scripted reply."""

    def __init__(self, *steps: Step, name: str = "fake") -> None:
        self.name = name
        self.between_bytes_s = 120.0
        self.total_s = 1800.0
        self.reply = FakeReply(steps)
        #: What `open` does first.
        self.before_headers: Step = b""
        self.asked: list[EmbeddingRequest] = []
        #: Texts that it was asked to count: one token a word.
        self.counted: list[Sequence[str]] = []
        #: Whether it knows the model's vocabulary.
        self.knows = True
        #: What it is known not to do.
        self.refuses: ApiError | None = None

    def check(self, model: EmbeddingModel, request: EmbeddingRequest) -> None:
        """Refuse what the test says."""
        if self.refuses is not None:
            raise self.refuses

    async def count_tokens(self, model: EmbeddingModel, texts: Sequence[str]) -> list[int] | None:
        """Count."""
        self.counted.append(texts)
        await asyncio.sleep(0)
        return [len(text.split()) for text in texts] if self.knows else None

    async def open(self, model: EmbeddingModel, request: EmbeddingRequest) -> FakeReply:
        """Return the scripted reply."""
        self.asked.append(request)
        await asyncio.sleep(0)
        step = self.before_headers
        if isinstance(step, Exception):
            raise step
        if not isinstance(step, bytes):
            await step()
        return self.reply


class EmbeddingRoom:
    """Embeddings with one engine, or with `others` to stand in for it."""

    def __init__(self, *steps: Any, balance: int = 10**6, others: Sequence[FakeEmbedder] = ()) -> None:
        self.ledger, self.replays, self.calls = FakeLedger(balance), FakeReplays(), OpenCalls()
        self.balance = balance
        self.engine = FakeEmbedder(*steps)
        engines: dict[str, EmbeddingEngine] = {each.name: each for each in (self.engine, *others)}
        router: Router[EmbeddingModel, EmbeddingEngine] = Router(engines, {}, random.Random(1))
        model = replace(MODEL, others=tuple(Route(each.name) for each in others))
        catalog = Catalog([model, replace(MODEL, id="away", engine=None, aliases=()), CHAT])
        self.embeddings = Embeddings(catalog, router, Metering(self.ledger), self.calls, self.replays)
        self.facts = CallFacts()
        #: Set when the call has come to where it is stopped.
        self.there = asyncio.Event()

    async def embed(self, request: EmbeddingRequest = REQUEST, **caller: Any) -> EmbeddingsReply:
        """Run a call."""
        return await self.embeddings.embed(principal(**caller), new_call_id(), request, self.facts)

    def hang(self) -> asyncio.Future[bytes]:
        """A step that never ends."""
        self.there.set()
        return asyncio.get_running_loop().create_future()

    async def ended(self, cost: int, outcome: CallOutcome) -> None:
        """Assert that the call was settled exactly once, so, and that nothing is left of it."""
        self.ledger.paused = False
        await asyncio.sleep(0.005)
        (settlement,) = self.ledger.settlements
        (result,) = self.ledger.results
        assert (result.charged_nusd, settlement.outcome) == (cost, outcome)
        assert settlement.hold_id == self.ledger.asked[-1].id
        assert (self.ledger.balance, self.ledger.held, len(self.calls)) == (self.balance - cost, 0, 0)
        assert self.facts.settlement is settlement
