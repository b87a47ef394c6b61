"""What a gateway has of models that write down speech, built for `wiring`: the use case, and the routes over it."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.api.quotes import Quoter
from minitoolai.api.transcriptions import add_transcriptions, transcriptions_quoter
from minitoolai.core.catalog import Model, TranscriptionModel
from minitoolai.edge.application import Routes
from minitoolai.integrations.sounds import MeasuredSounds
from minitoolai.runtime.paid_parts import PaidParts
from minitoolai.services.access import Access
from minitoolai.services.routing import Router
from minitoolai.services.speech_ports import TranscriptionEngine
from minitoolai.services.transcriptions import Transcriptions


@dataclass(frozen=True, slots=True)
class TranscriptionRoom:
    """The parts."""

    router: Router[TranscriptionModel, TranscriptionEngine]
    transcriptions: Transcriptions

    def add_routes(self, routes: Routes, access: Access) -> None:
        """Add the route."""
        add_transcriptions(routes, access, self.transcriptions)

    def quoters(self) -> dict[type[Model], Quoter]:
        """Return what quotes its calls."""
        return {TranscriptionModel: transcriptions_quoter(self.transcriptions)}


def transcription_room(parts: PaidParts, sounds_socket: str) -> TranscriptionRoom:
    """Return the parts; `sounds_socket`: of the child that measures sounds."""
    router: Router[TranscriptionModel, TranscriptionEngine] = parts.router(parts.engines.transcription)
    sounds = MeasuredSounds(sounds_socket)
    transcriptions = Transcriptions(parts.catalog, router, parts.metering, parts.calls, parts.replays, sounds)
    return TranscriptionRoom(router, transcriptions)
