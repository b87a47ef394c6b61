"""Sounds that are kept for repeated calls: encrypted, each for its own call, by the day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services.metering import new_call_id
from minitoolai.services.speech_ports import KeptSounds
from minitoolai.storage import kept_sounds
from minitoolai.storage.kept_sounds import LARGE_BYTES, BlobSounds
from minitoolai.storage.seal import Seal, SealBroken
from tests.support.blobs import FakeBlobs


class Shelf:
    """Sounds in memory, at a day that the test sets."""

    def __init__(self) -> None:
        self.blobs = FakeBlobs()
        self.day = 25
        self.sounds: KeptSounds = BlobSounds(
            self.blobs, Seal(bytes(32)), lambda: datetime(2026, 11, self.day, 23, tzinfo=UTC)
        )


@pytest.mark.parametrize("size", [0, 10, LARGE_BYTES + 10])
async def test_a_sound_is_found_as_it_was(size: int) -> None:
    """In one piece; nothing of it can be read where it lies."""
    shelf, call = Shelf(), new_call_id()
    name = await shelf.sounds.keep(call, [b"canary", b"x" * size])
    assert name == f"replays/2026-11-25/{call.hex}"
    assert await shelf.sounds.find(call, name) == b"canary" + b"x" * size
    assert b"canary" not in shelf.blobs.files[name]


async def test_it_belongs_to_its_call() -> None:
    """Another call's sound cannot be passed off as one's own."""
    shelf = Shelf()
    name = await shelf.sounds.keep(new_call_id(), [b"a"])
    with pytest.raises(SealBroken):
        await shelf.sounds.find(UUID(int=1), name)


async def test_one_that_is_gone_and_a_store_that_is_away() -> None:
    """None, or the store's own failure."""
    shelf, call = Shelf(), new_call_id()
    assert await shelf.sounds.find(call, f"replays/2026-11-25/{call.hex}") is None
    shelf.blobs.failure = StorageUnavailable(retry_after_s=5)
    with pytest.raises(StorageUnavailable):
        await shelf.sounds.keep(call, [b"a"])


async def test_days_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before a day, in as many batches as it takes; nothing else among the files."""
    monkeypatch.setattr(kept_sounds, "BATCH", 2)
    shelf = Shelf()
    await shelf.blobs.put("pictures/2026-11-20/1-1.png", b"a", "image/png")
    for shelf.day in (22, 23, 23, 23, 24):
        await shelf.sounds.keep(new_call_id(), [b"a"])
    await shelf.sounds.forget(date(2026, 11, 24))
    assert sorted(name.rpartition("/")[0] for name in shelf.blobs.files) == ["pictures/2026-11-20", "replays/2026-11-24"]
