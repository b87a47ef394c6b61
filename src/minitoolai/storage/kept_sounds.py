"""The sounds of calls that may be repeated, among the files: encrypted with the key of kept replies, by their day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from uuid import UUID

from minitoolai.services.job_ports import Blobs
from minitoolai.storage.seal import Seal

#: Where they are kept, by day.
REPLAYS = "replays"
#: Files deleted at once: one request to most stores.
BATCH = 200
#: A larger sound is encrypted off the event loop: it takes about a millisecond a megabyte.
LARGE_BYTES = 1024 * 1024
#: Nobody but this server can read them.
_MEDIA = "application/octet-stream"


def _now() -> datetime:
    return datetime.now(UTC)


class BlobSounds:
    """See `services.speech_ports.KeptSounds`."""

    def __init__(self, blobs: Blobs, seal: Seal, now: Callable[[], datetime] = _now) -> None:
        """`now`: in UTC."""
        self._blobs = blobs
        self._seal = seal
        self._now = now

    async def keep(self, call_id: UUID, sound: Sequence[bytes]) -> str:
        """See `services.speech_ports.KeptSounds`."""
        name = f"{REPLAYS}/{self._now().date().isoformat()}/{call_id.hex}"
        sealed = await _beside(sum(map(len, sound)), lambda: self._seal.close(b"".join(sound), call_id.bytes))
        await self._blobs.put(name, sealed, _MEDIA)
        return name

    async def find(self, call_id: UUID, name: str) -> bytes | None:
        """See `services.speech_ports.KeptSounds`."""
        sealed = await self._blobs.get(name)
        return None if sealed is None else await _beside(len(sealed), lambda: self._seal.open(sealed, call_id.bytes))

    async def forget(self, day: date) -> None:
        """See `services.speech_ports.KeptSounds`."""
        while names := await self._blobs.list_before(REPLAYS, day.isoformat(), BATCH):
            await self._blobs.delete(names)


async def _beside(size: int, work: Callable[[], bytes]) -> bytes:
    """Return what `work` on so many bytes returns, done in a thread where they are many."""
    return await asyncio.to_thread(work) if size > LARGE_BYTES else work()
