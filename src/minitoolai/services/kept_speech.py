"""What is kept of speech for callers that repeat their call (`Idempotency-Key`): where its sound is, and the sound."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import msgspec

from minitoolai.core.inner_errors import AlreadyAnswered
from minitoolai.core.ledger import Rates
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.core.speech_errors import SoundGone
from minitoolai.services.job_run import utc_today
from minitoolai.services.metering import earlier_reply
from minitoolai.services.ports import Replays
from minitoolai.services.speech_ports import KeptSounds

#: A larger sound is not kept: an hour of mp3, twenty minutes of uncompressed speech, far more than 4096 characters are.
MAX_KEPT_BYTES = 64 * 1024 * 1024
#: The end of a call waits so long for its sound to be kept, then goes without: it is spoken and paid.
KEEP_S = 5.0
#: How often sounds are forgotten.
FORGET_S = 3600.0
#: Days are told by names: with the day before today's kept, every sound is for a day, none for more than two.
KEPT_DAYS = timedelta(days=1)

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class _Kept(msgspec.Struct, frozen=True):
    """What the ledger keeps."""

    name: str
    characters: int
    cost_nusd: int


_decode = msgspec.json.Decoder(_Kept).decode


@dataclass(frozen=True, slots=True)
class Respoken:
    """What an earlier call got, to be given again."""

    sound: bytes
    characters: int
    cost_nusd: int
    #: How the key's minute stands.
    rates: Rates | None


class SoundKeeper:
    """Keeps sounds and finds them again."""

    def __init__(self, sounds: KeptSounds, replays: Replays) -> None:
        self._sounds = sounds
        self._replays = replays

    async def keep(self, call_id: UUID, sound: Sequence[bytes], characters: int, cost_nusd: int) -> bytes | None:
        """Keep a call's sound; return what the ledger is to keep. None: it cannot be kept, and the call may be made anew."""
        try:
            async with asyncio.timeout(KEEP_S):
                name = await self._sounds.keep(call_id, sound)
        except (StorageUnavailable, TimeoutError):
            log.warning("the sound of call %s is not kept: its caller may not repeat it for nothing", call_id)
            return None
        return _encode(_Kept(name, characters, cost_nusd))

    async def again(self, answered: AlreadyAnswered) -> Respoken:
        """Return what the earlier call got. Raises `SoundGone`, `StorageUnavailable`, and as `earlier_reply`."""
        kept = _decode(await earlier_reply(self._replays, answered))
        sound = await self._sounds.find(answered.call_id, kept.name)
        if sound is None:
            raise SoundGone(param="idempotency-key")
        return Respoken(sound, kept.characters, kept.cost_nusd, answered.rates)


async def forget_sounds(sounds: KeptSounds, today: Callable[[], date] = utc_today) -> None:
    """Delete, for ever, sounds that nobody may ask for again."""
    while True:
        try:
            await sounds.forget(today() - KEPT_DAYS)
        except StorageUnavailable:
            log.warning("sounds that were kept for repeated calls cannot be deleted at present")
        except Exception:  # the loop's boundary: callers' sounds would be kept for ever
            log.exception("forgetting sounds failed")
        await asyncio.sleep(FORGET_S)
