"""What the use cases of speech need from outside: engines that speak, and engines that write down what is spoken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol
from uuid import UUID

from minitoolai.core.catalog import SpeechModel, TranscriptionModel
from minitoolai.core.speech import SpeechRequest, Voice
from minitoolai.core.transcription import TranscriptionRequest
from minitoolai.services.ports import Engine, EngineReply


class SpeechReply(EngineReply, Protocol):
    """Speech as it comes: `read` returns the bytes of the sound file in the format that was asked for."""

    @property
    def spoken(self) -> int | None:
        """Characters of the text whose sound was read so far, whole sentences only; None: the engine does not say."""
        ...


class SpeechEngine(Engine, Protocol):
    """Something that speaks."""

    #: Fields of `SpeechRequest` that change nothing there: callers are told so.
    ignores: frozenset[str]
    #: Jobs spoken side by side by one worker; more wait.
    parallel: int

    def check(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Raise `InvalidValue` for what it is known not to do: calls are asked about before anything is held."""
        ...

    async def prove(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Raise `InvalidValue` for what `open` would, where that can be found out at no cost. Whatever else fails does not
        matter here."""
        ...

    async def voices(self, model: SpeechModel) -> Sequence[Voice]:
        """Return the voices that the model has there. Raises `UpstreamError`, `NoEngine` where it cannot say at present."""
        ...

    async def open(self, model: SpeechModel, request: SpeechRequest, *, urgent: bool = True) -> SpeechReply:
        """Send the call and return once its sound begins; `urgent`: somebody waits for it, others make way.

        Raises `InvalidValue` for what it finds out only now (as a voice that is not there), `UpstreamError`,
        `UpstreamTimeout`, `EngineRefusedRequest`, `RateLimited`, `EngineQuotaExhausted`, `NoEngine`, and as `check`.
        Cancelled, it leaves nothing open.
        """
        ...


class KeptSounds(Protocol):
    """Where the sounds of calls are kept that may be repeated (`Idempotency-Key`), encrypted, for a day."""

    async def keep(self, call_id: UUID, sound: Sequence[bytes]) -> str:
        """Keep the parts of a call's sound; return its name. Raises `StorageUnavailable`."""
        ...

    async def find(self, call_id: UUID, name: str) -> bytes | None:
        """Return a call's sound, or None where it is not there any more. Raises `StorageUnavailable`."""
        ...

    async def forget(self, day: date) -> None:
        """Delete sounds of days before `day`, in UTC. Raises `StorageUnavailable`."""
        ...


class TranscriptionEngine(Engine, Protocol):
    """Something that writes down what is spoken."""

    def check(self, model: TranscriptionModel, request: TranscriptionRequest) -> None:
        """Raise `InvalidValue` for what it is known not to do: calls are asked about before anything is held."""
        ...

    async def open(self, model: TranscriptionModel, request: TranscriptionRequest) -> EngineReply:
        """Send the call and return once the engine's headers have come; the body is OpenAI's. Raises as
        `SpeechEngine.open`."""
        ...


class SoundLength(Protocol):
    """Who measures the sounds of callers."""

    async def milliseconds(self, sound: bytes) -> int:
        """Return how long a sound file is, rounded up. Raises `InvalidAudio`, `ServiceUnavailable`."""
        ...
