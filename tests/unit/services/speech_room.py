"""Speech with engines in memory, and a way to stop a call anywhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from minitoolai.core.catalog import Catalog, ChatModel, Route, SpeechModel
from minitoolai.core.errors import ApiError
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.records import CallFacts
from minitoolai.core.speech import SpeechRequest
from minitoolai.services.asked_speech import AskedSpeech
from minitoolai.services.calls import OpenCalls
from minitoolai.services.kept_speech import Respoken
from minitoolai.services.metering import Metering, new_call_id
from minitoolai.services.routing import Router
from minitoolai.services.speech import Speech
from minitoolai.services.speech_ports import SpeechEngine
from tests.support.fakes import FakeLedger, FakeReplays, FakeSink, principal
from tests.support.speaking import FakeSpeaker

#: 1 nano-dollar a character.
MODEL = SpeechModel("s", 1_000_000, engine="fake", aliases=("alias",))
CHAT = ChatModel("m", TokenPrices(1_000_000, 2_000_000), 1000, 500, engine="fake")
#: Two sentences, of 6 and 5 characters.
TEXT = "Hello. World"
ASKED = AskedSpeech("s", SpeechRequest(TEXT), len(TEXT))
COST = len(TEXT)


class FakeSpeechSink(FakeSink):
    """A caller's connection that takes sound; `events`: in a form that has a place for errors and costs."""

    def __init__(self, *, events: bool = False) -> None:
        super().__init__()
        self.events = events
        self.ignored: frozenset[str] | None = None
        #: What it was told at the end: characters and cost.
        self.finished: tuple[int, int] | None = None
        self.failure: ApiError | None = None

    def begins(self, ignored: frozenset[str]) -> None:
        """Keep it."""
        assert not self.started
        self.ignored = ignored

    async def speak(self, sound: bytes) -> None:
        """Take sound."""
        await self.write(sound)

    async def finish(self, characters: int, cost_nusd: int) -> None:
        """Keep it."""
        self.finished = (characters, cost_nusd)

    async def fail(self, error: ApiError) -> None:
        """Keep it, or raise it as the form says."""
        if not self.events:
            raise error
        self.failure = error

    @property
    def sound(self) -> bytes:
        """All that was written."""
        return b"".join(self.written)


class FakeSounds:
    """Sounds in memory (`services.speech_ports.KeptSounds`)."""

    def __init__(self) -> None:
        self.sounds: dict[str, bytes] = {}
        #: What the next calls fail with.
        self.failure: ApiError | None = None
        #: Set to let `keep` go on, where it waits.
        self.go: asyncio.Event | None = None
        #: Set when `keep` has begun.
        self.keeping = asyncio.Event()
        self.forgotten: list[date] = []

    async def keep(self, call_id: UUID, sound: Sequence[bytes]) -> str:
        """Keep a sound."""
        self.keeping.set()
        if self.go is not None:
            await self.go.wait()
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.sounds[call_id.hex] = b"".join(sound)
        return call_id.hex

    async def find(self, call_id: UUID, name: str) -> bytes | None:
        """Find a sound."""
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return self.sounds.get(name)

    async def forget(self, day: date) -> None:
        """Note the day."""
        self.forgotten.append(day)
        if self.failure is not None:
            raise self.failure


class SpeechRoom:
    """Speech with one engine, or with `others` to stand in for it."""

    def __init__(
        self, *steps: Any, balance: int = 10**6, others: Sequence[FakeSpeaker] = (), events: bool = False, **options: Any
    ) -> None:
        self.ledger, self.replays, self.calls = FakeLedger(balance), FakeReplays(), OpenCalls()
        self.sounds = FakeSounds()
        self.balance = balance
        self.engine = FakeSpeaker(*steps, **options)
        engines: dict[str, SpeechEngine] = {each.name: each for each in (self.engine, *others)}
        router: Router[SpeechModel, SpeechEngine] = Router(engines, {}, random.Random(1))
        model = replace(MODEL, others=tuple(Route(each.name) for each in others))
        catalog = Catalog([model, replace(MODEL, id="away", engine=None, aliases=()), CHAT])
        self.speech = Speech(catalog, router, Metering(self.ledger), self.calls, self.replays, self.sounds)
        self.sink = FakeSpeechSink(events=events)
        self.facts = CallFacts()
        #: Set when the call has come to where it is stopped.
        self.there = asyncio.Event()

    async def speak(self, asked: AskedSpeech = ASKED, **caller: Any) -> Respoken | None:
        """Run a call."""
        return await self.speech.speak(principal(**caller), new_call_id(), asked, self.sink, self.facts)

    def hang(self) -> asyncio.Future[bytes]:
        """A step that never ends."""
        self.there.set()
        return asyncio.get_running_loop().create_future()

    async def stopped(self, reason: ApiError | CallerLeft | None, asked: AskedSpeech = ASKED) -> BaseException | None:
        """Stop the running call where it hangs; return what it ends with. Without a reason its task is just cancelled."""
        task = asyncio.create_task(self.speak(asked))
        await self.there.wait()
        if reason is None:
            task.cancel()
        else:
            self.calls.interrupt_all(lambda: reason)
        if self.sink.events and not isinstance(reason, CallerLeft | None):
            await task
            return self.sink.failure
        with pytest.raises((ApiError, CallerLeft)) as caught:
            await task
        return caught.value

    async def ended(self, cost: int, outcome: CallOutcome) -> None:
        """Assert that the call was settled exactly once, so, and that nothing is left of it."""
        self.ledger.paused = False
        await asyncio.sleep(0.005)
        (settlement,) = self.ledger.settlements
        (result,) = self.ledger.results
        assert (result.charged_nusd, settlement.outcome) == (cost, outcome)
        assert (settlement.characters, settlement.character_nusd_per_1m) == (cost, MODEL.character_nusd_per_1m)
        assert settlement.hold_id == self.ledger.asked[-1].id
        assert (self.ledger.balance, self.ledger.held, len(self.calls)) == (self.balance - cost, 0, 0)
        assert self.facts.settlement is settlement
