"""What the use cases need from outside; what those of jobs, pictures and speech need besides has ports of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.catalog import ChatModel, EmbeddingModel
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.inference import ChatRequest, Usage
from minitoolai.core.ledger import HoldAnswer, HoldRequest, Rates, Repeatable, Settled, Settlement
from minitoolai.core.records import RequestRecord


class Ledger(Protocol):
    """Where holds are made and ended."""

    def hold(self, request: HoldRequest) -> asyncio.Future[HoldAnswer]:
        """Ask for a hold; the future fails with `DatabaseUnavailable`."""
        ...

    def settle(self, settlement: Settlement) -> asyncio.Future[Settled]:
        """End a hold: done for certain while this process lives, whoever awaits the future."""
        ...

    async def register(self) -> None:
        """Begin this process's lease."""
        ...

    async def renew(self, produced: Mapping[UUID, int]) -> bool:
        """Renew the lease, noting what each open hold's call has cost so far; False when it had lapsed."""
        ...

    async def sweep(self) -> int:
        """Expire the holds of dead processes and erase what may no longer be repeated; return how many expired."""
        ...


class KeyStore(Protocol):
    """Where keys are found."""

    async def find(self, digest: bytes) -> Principal | None:
        """Return whom the key with this SHA-256 is for, or None."""
        ...


class EngineReply(Protocol):
    """A reply whose headers have arrived and whose body is being read."""

    async def read(self) -> bytes:
        """Return the next bytes as they come, b"" at a clean end. Raises `UpstreamError` when it breaks off."""
        ...

    def counted(self) -> Usage | None:
        """Return the engine's own count of what was used so far, where it tells before the end."""
        ...

    def close(self) -> None:
        """Let go of the reply; one that has not ended is cut off at once."""
        ...


class Engine(Protocol):
    """Something that answers calls."""

    name: str
    #: Seconds between two reads after which a reply counts as stuck.
    between_bytes_s: float
    #: Seconds that a call may take in all.
    total_s: float


class ChatEngine(Engine, Protocol):
    """Something that answers chat calls."""

    #: Whether it fetches pictures by their URL itself.
    fetches_images: bool
    #: Whether it counts by its models' own vocabularies; otherwise its counts are exact for OpenAI's models only.
    knows_vocabulary: bool

    def check(self, model: ChatModel, request: ChatRequest) -> None:
        """Raise `InvalidValue` for what it is known not to do: calls are asked about before anything is held."""
        ...

    async def count_prompt(self, model: ChatModel, request: ChatRequest) -> int:
        """Return the tokens of the prompt; an estimate where neither it nor OpenAI knows the model's vocabulary.

        Raises as `open` does.
        """
        ...

    async def open(self, model: ChatModel, request: ChatRequest, max_completion_tokens: int) -> EngineReply:
        """Send the call and return once the engine's headers have come.

        Raises `UpstreamError`, `UpstreamTimeout`, `EngineRefusedRequest`, `ContextLengthExceeded`, `RateLimited`,
        `EngineQuotaExhausted`, and as `check`. Cancelled, it leaves nothing open.
        """
        ...


class EmbeddingEngine(Engine, Protocol):
    """Something that turns texts into vectors."""

    def check(self, model: EmbeddingModel, request: EmbeddingRequest) -> None:
        """Raise `InvalidValue` for `dimensions` that it does not give: calls are asked about before anything is held."""
        ...

    async def count_tokens(self, model: EmbeddingModel, texts: Sequence[str]) -> Sequence[int] | None:
        """Return the tokens of each text; None where the model's vocabulary is not known."""
        ...

    async def open(self, model: EmbeddingModel, request: EmbeddingRequest) -> EngineReply:
        """Send the call and return once the engine's headers have come; the body is OpenAI's.

        Raises as `ChatEngine.open`, and as `check`.
        """
        ...


class Observer(Protocol):
    """Who wants to know of finished requests: logs, metrics, traces."""

    def ended(self, record: RequestRecord) -> None:
        """Take the record of a request, once for each, refused ones too. Must be quick, and must not raise."""
        ...


class Pictures(Protocol):
    """Where the pictures of a call come from."""

    async def inline(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a chat body with every picture in it: fetched, checked, and encoded anew as a `data:` URL.

        Raises `InvalidImageUrl`, `ImageTooLarge`, `ServiceUnavailable`.
        """
        ...


class Replays(Protocol):
    """Where the replies of calls that may be repeated are kept."""

    async def find(self, call_id: UUID) -> bytes | None:
        """Return the reply of a call as its settlement gave it, or None when it was erased meanwhile."""
        ...

    async def answered(self, account_id: int, call: Repeatable) -> UUID | None:
        """Return the call of the account that was the same and has a reply; None where there is none."""
        ...


class ReplySink(Protocol):
    """Where a streamed reply goes: one caller's connection."""

    @property
    def started(self) -> bool:
        """Whether headers have gone out, so that an error can only be an event of the stream."""
        ...

    def granted(self, rates: Rates | None, *, replayed: bool = False) -> None:
        """Take what the headers will say: how the key's minute stands, whether an earlier reply is given again."""
        ...

    async def write(self, frames: bytes) -> None:
        """Send whole frames, headers before the first."""
        ...
