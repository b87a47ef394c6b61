"""Engines that speak, in memory, and do as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.errors import ApiError
from minitoolai.core.speech import SpeechRequest, Voice


@dataclass(frozen=True)
class Spoken:
    """A step: from here on so many characters are spoken."""

    characters: int


#: What comes next: bytes of the sound, a failure, how far it is, or something of the test's own that gives bytes.
SpeechStep = bytes | Exception | Spoken | Callable[[], Awaitable[bytes]]


class FakeSpeechReply:
    """A sound that follows its script, then ends."""

    def __init__(self, steps: Iterable[SpeechStep], *, says: bool) -> None:
        self.steps = list(steps)
        self.spoken: int | None = 0 if says else None
        self.closed = 0

    async def read(self) -> bytes:
        """Follow the script."""
        await asyncio.sleep(0)
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, Spoken):
                self.spoken = step.characters
            elif isinstance(step, Exception):
                raise step
            else:
                return step if isinstance(step, bytes) else await step()
        return b""

    def counted(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Count the calls."""
        self.closed += 1


class FakeSpeaker:
    """An engine that gives its script as each call's sound (`services.speech_ports.SpeechEngine`)."""

    def __init__(self, *steps: SpeechStep, name: str = "fake", says: bool = True, ignores: Iterable[str] = ()) -> None:
        """`says`: whether it says how far it is."""
        self.name = name
        self.between_bytes_s = 120.0
        self.total_s = 1800.0
        self.parallel = 2
        self.ignores = frozenset(ignores)
        self.steps: Sequence[SpeechStep] = steps
        self.says = says
        #: What `open` does first.
        self.before_sound: SpeechStep = b""
        self.asked: list[tuple[SpeechModel, SpeechRequest]] = []
        self.replies: list[FakeSpeechReply] = []
        #: What it is known not to do.
        self.refuses: ApiError | None = None
        #: What it finds out when it is tried.
        self.disproves: ApiError | None = None
        #: Whether somebody waits for what it is asked.
        self.urgent = True
        #: What it has, or what asking for them fails with, or what it does first.
        self.has: Sequence[Voice] | ApiError | Callable[[], Awaitable[Sequence[Voice]]] = ()

    def check(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Refuse what the test says."""
        if self.refuses is not None:
            raise self.refuses

    async def prove(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Refuse what is found out only now."""
        await asyncio.sleep(0)
        if self.disproves is not None:
            raise self.disproves

    async def voices(self, model: SpeechModel) -> Sequence[Voice]:
        """Return what the test says."""
        await asyncio.sleep(0)
        if isinstance(self.has, ApiError):
            raise self.has
        return await self.has() if callable(self.has) else self.has

    async def open(self, model: SpeechModel, request: SpeechRequest, *, urgent: bool = True) -> FakeSpeechReply:
        """Return the scripted sound."""
        assert urgent is self.urgent
        self.asked.append((model, request))
        await asyncio.sleep(0)
        step = self.before_sound
        if isinstance(step, Exception):
            raise step
        if callable(step):
            await step()
        self.replies.append(FakeSpeechReply(self.steps, says=self.says))
        return self.replies[-1]
