"""Transcriptions with engines in memory, and a way to stop a call anywhere."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minitoolai.core.catalog import Catalog, ChatModel, Route, TranscriptionModel
from minitoolai.core.errors import ApiError
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.records import CallFacts
from minitoolai.core.sse import event
from minitoolai.core.transcription import TranscriptionRequest
from minitoolai.services.calls import OpenCalls
from minitoolai.services.metering import Metering, new_call_id
from minitoolai.services.routing import Router
from minitoolai.services.speech_ports import TranscriptionEngine
from minitoolai.services.transcriptions import TranscriptionReply, Transcriptions
from tests.support.fakes import FakeLedger, FakeReplays, FakeReply, FakeSink, Step, principal

#: 6 nano-dollars a second.
MODEL = TranscriptionModel("w", 360, engine="fake", aliases=("alias",))
CHAT = ChatModel("m", TokenPrices(1_000_000, 2_000_000), 1000, 500, engine="fake")
REQUEST = TranscriptionRequest("w", b"a sound", "sound.mp3", fields=(("language", "en"),))
#: How long the sound is, and what it costs.
MS, COST = 90_500, 543
REPLY = json.dumps({"text": "Hello world."}).encode()
HELLO = event({"type": "transcript.text.delta", "delta": "Hello"})
DONE = event({"type": "transcript.text.done", "text": "Hello world."})


class FakeWriter:
    """An engine with one scripted reply."""

    def __init__(self, *steps: Step, name: str = "fake") -> None:
        self.name = name
        self.between_bytes_s = 120.0
        self.total_s = 1800.0
        self.reply = FakeReply(steps)
        #: What `open` does first.
        self.before_headers: Step = b""
        #: What it is known not to do.
        self.refuses: ApiError | None = None
        self.asked: list[tuple[TranscriptionModel, TranscriptionRequest]] = []

    def check(self, model: TranscriptionModel, request: TranscriptionRequest) -> None:
        """Refuse what the test says."""
        if self.refuses is not None:
            raise self.refuses

    async def open(self, model: TranscriptionModel, request: TranscriptionRequest) -> FakeReply:
        """Return the scripted reply."""
        self.asked.append((model, request))
        await asyncio.sleep(0)
        step = self.before_headers
        if isinstance(step, Exception):
            raise step
        if not isinstance(step, bytes):
            await step()
        return self.reply


class FakeSounds:
    """Sounds that are as long as the test says."""

    def __init__(self) -> None:
        self.found: int | ApiError = MS
        self.asked: list[bytes] = []

    async def milliseconds(self, sound: bytes) -> int:
        """Say it."""
        self.asked.append(sound)
        await asyncio.sleep(0)
        if isinstance(self.found, ApiError):
            raise self.found
        return self.found


class TranscriptionRoom:
    """Transcriptions with one engine, or with `others` to stand in for it."""

    def __init__(
        self,
        *steps: Step,
        hangs: bool = False,
        balance: int = 10**6,
        limit: int | None = None,
        others: Sequence[FakeWriter] = (),
    ) -> None:
        """`hangs`: whether the engine's reply never ends after its `steps`."""
        self.ledger = FakeLedger(balance, limit_nusd=limit)
        self.engine = FakeWriter(*steps, *([self.hang] if hangs else []))
        self.sounds = FakeSounds()
        self.replays = FakeReplays()
        self.calls = OpenCalls()
        engines: dict[str, TranscriptionEngine] = {each.name: each for each in (self.engine, *others)}
        model = replace(MODEL, others=tuple(Route(each.name) for each in others))
        catalog = Catalog([model, TranscriptionModel("away", 360), CHAT])
        router: Router[TranscriptionModel, TranscriptionEngine] = Router(engines, {}, random.Random(0))
        self.transcriptions = Transcriptions(
            catalog, router, Metering(self.ledger), self.calls, self.replays, self.sounds
        )  # fmt: skip
        self.facts = CallFacts()
        self.sink = FakeSink()
        #: Set when an engine waits in `hang`.
        self.there = asyncio.Event()

    async def whole(self, request: TranscriptionRequest = REQUEST, **options: Any) -> TranscriptionReply:
        """Run a call."""
        return await self.transcriptions.whole(principal(**options), new_call_id(), request, self.facts)

    async def stream(self, request: TranscriptionRequest = REQUEST) -> str:
        """Run a call whose text is streamed; return what was written."""
        request = replace(request, stream=True)
        await self.transcriptions.stream(principal(), new_call_id(), request, self.sink, self.facts)
        return self.sink.text

    def hang(self) -> asyncio.Future[bytes]:
        """A step of an engine that never ends."""
        self.there.set()
        return asyncio.get_running_loop().create_future()

    async def ended(self, cost_nusd: int, outcome: CallOutcome) -> None:
        """Assert that the one call ended so, with nothing held."""
        while not self.ledger.results:
            await asyncio.sleep(0)
        (settlement,) = self.ledger.settlements
        assert (settlement.cost_nusd, settlement.outcome) == (cost_nusd, outcome)
        assert (settlement.audio_ms, settlement.audio_minute_nusd) == (MS if cost_nusd else 0, 360)
        assert self.ledger.held == 0
        assert not len(self.calls)
