"""How long callers' sounds are: measured by the child `children/sounds`."""

from __future__ import annotations

import asyncio
import logging

from minitoolai.core.errors import ServiceUnavailable
from minitoolai.core.sound_wire import MILLISECONDS, Verdict
from minitoolai.core.transcription_errors import InvalidAudio
from minitoolai.integrations.looked_at import shown

#: Sounds with the child at once, of a gateway: each may be 25 MiB in two processes.
AT_ONCE = 8

log = logging.getLogger(__name__)


class MeasuredSounds:
    """Measures sounds (`services.speech_ports.SoundLength`)."""

    def __init__(self, socket: str) -> None:
        #: Path of the child's Unix socket.
        self._socket = socket
        self._room = asyncio.Semaphore(AT_ONCE)

    async def milliseconds(self, sound: bytes) -> int:
        """See `services.speech_ports.SoundLength`."""
        try:
            async with self._room:
                verdict, answer = await shown(self._socket, sound)
        except (OSError, EOFError, TimeoutError) as error:
            log.warning("the sounds child does not answer: %s", type(error).__name__)
            raise ServiceUnavailable(retry_after_s=2) from error
        if verdict == Verdict.TOO_LONG:
            raise InvalidAudio(param="file", why="it is longer than 24 hours, or takes too long to be read.")
        if verdict != Verdict.LENGTH:
            raise InvalidAudio(param="file", why="it is damaged, or there is no sound in it.")
        (found,) = MILLISECONDS.unpack(answer)
        return int(found)
