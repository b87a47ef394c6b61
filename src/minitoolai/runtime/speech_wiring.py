"""What a gateway has of speech, built for `wiring`: the use case, the voices, and the routes over them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from minitoolai.api.quotes import Quoter
from minitoolai.api.speech import add_speech, speech_quoter
from minitoolai.core.catalog import Model, SpeechModel
from minitoolai.edge.application import Routes
from minitoolai.runtime.paid_parts import PaidParts
from minitoolai.services.access import Access
from minitoolai.services.job_ports import Blobs
from minitoolai.services.kept_speech import forget_sounds
from minitoolai.services.routing import Router
from minitoolai.services.speech import Speech
from minitoolai.services.speech_jobs import SpeechJobs
from minitoolai.services.speech_ports import KeptSounds, SpeechEngine
from minitoolai.services.speech_voices import Voices
from minitoolai.storage.kept_sounds import BlobSounds
from minitoolai.storage.seal import Seal


@dataclass(frozen=True, slots=True)
class SpeechRoom:
    """The parts."""

    router: Router[SpeechModel, SpeechEngine]
    speech: Speech
    voices: Voices
    #: Of calls that may be repeated.
    sounds: KeptSounds

    def add_routes(self, routes: Routes, access: Access, long: SpeechJobs, *, max_body_bytes: int) -> None:
        """Add the routes of speech; `long`: where long texts become jobs."""
        add_speech(routes, access, self.speech, self.voices, long, max_body_bytes=max_body_bytes)

    def quoters(self) -> dict[type[Model], Quoter]:
        """Return what quotes its calls."""
        return {SpeechModel: speech_quoter(self.speech)}

    def watch(self) -> asyncio.Task[None]:
        """Begin to forget sounds that nobody may ask for again."""
        return asyncio.create_task(forget_sounds(self.sounds), name="forget sounds")


def speech_room(parts: PaidParts, blobs: Blobs, seal: Seal) -> SpeechRoom:
    """Return the parts. Sounds that are kept for repeated calls are sealed with `seal`."""
    router: Router[SpeechModel, SpeechEngine] = parts.router(parts.engines.speech)
    sounds = BlobSounds(blobs, seal)
    speech = Speech(parts.catalog, router, parts.metering, parts.calls, parts.replays, sounds)
    return SpeechRoom(router, speech, Voices(parts.catalog, router), sounds)
