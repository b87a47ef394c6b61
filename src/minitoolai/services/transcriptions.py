"""The use case of transcriptions: measure a sound, hold what it costs, have it written down (`transcription_call`), or
give an earlier reply again."""

from __future__ import annotations

from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, TranscriptionModel
from minitoolai.core.errors import InsufficientCredit, KeyLimitReached, NoEngine
from minitoolai.core.inner_errors import AlreadyAnswered
from minitoolai.core.money import format_usd
from minitoolai.core.quotes import Quote, QuoteLine
from minitoolai.core.records import CallFacts
from minitoolai.core.transcript import as_stream
from minitoolai.core.transcription import TranscriptionRequest
from minitoolai.core.transcription_errors import SoundOverCap, SoundOverKeyLimit, SoundUnpaid
from minitoolai.services.access import check_model
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat_call import StreamingSink
from minitoolai.services.metering import Metering, earlier_reply, look_back
from minitoolai.services.ports import Replays
from minitoolai.services.routing import Path, Router
from minitoolai.services.speech_ports import SoundLength, TranscriptionEngine
from minitoolai.services.transcription_call import (
    KeptTranscription,
    MeasuredCall,
    TranscriptionAttempts,
    TranscriptionCall,
    TranscriptionReply,
)

__all__ = ["TranscriptionReply", "Transcriptions"]

_Paths = list[Path[TranscriptionModel, TranscriptionEngine]]

_decode_kept = msgspec.json.Decoder(KeptTranscription).decode


class Transcriptions:
    """The use case of transcriptions."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router[TranscriptionModel, TranscriptionEngine],
        metering: Metering,
        calls: OpenCalls,
        replays: Replays,
        sounds: SoundLength,
    ) -> None:
        self._catalog = catalog
        self._router = router
        self._metering = metering
        self._calls = calls
        self._replays = replays
        self._sounds = sounds

    async def whole(
        self, principal: Principal, call_id: UUID, request: TranscriptionRequest, facts: CallFacts | None = None
    ) -> TranscriptionReply:
        """Run a call whose reply is sent in one piece; `facts` are told what is learnt of it.

        Raises `ApiError`, and `CallerLeft` when interrupted so.
        """
        facts = facts or CallFacts()
        try:
            call = await self._begin(principal, call_id, request, facts)
        except AlreadyAnswered as answered:
            kept = await self._again(answered, facts)
            return TranscriptionReply(kept.body, kept.cost_nusd, None, answered.rates, replayed=True)
        with call:
            return await call.run_whole()

    async def stream(
        self,
        principal: Principal,
        call_id: UUID,
        request: TranscriptionRequest,
        sink: StreamingSink,
        facts: CallFacts | None = None,
    ) -> None:
        """Run a call whose text is streamed into `sink`; `facts` are told what is learnt of it.

        Raises `ApiError` only while `sink` has not started.
        """
        facts = facts or CallFacts()
        facts.stream = True
        try:
            call = await self._begin(principal, call_id, request, facts)
        except AlreadyAnswered as answered:
            kept = await self._again(answered, facts)
            sink.granted(answered.rates, replayed=True)
            await sink.write(as_stream(kept.body))
            return
        with call:
            await call.run_stream(sink)

    def quote(self, principal: Principal, model_name: str, milliseconds: int, facts: CallFacts | None = None) -> Quote:
        """Return what a sound of that length costs. Raises `ApiError`."""
        model, _ = self._paths(principal, model_name, facts or CallFacts())
        cost = model.cost_nusd(milliseconds)
        line = QuoteLine("milliseconds of sound", milliseconds, None, cost, nusd_per_minute=model.minute_nusd)
        return Quote(model.id, cost, None, (line,))

    async def _begin(
        self, principal: Principal, call_id: UUID, request: TranscriptionRequest, facts: CallFacts
    ) -> TranscriptionCall:
        try:
            model, paths = self._paths(principal, request.model, facts)
        except NoEngine:
            await look_back(self._replays, principal, request.repeatable)
            raise
        engine = paths[0].engine
        engine.check(model, request)
        call = MeasuredCall(model, request, await self._sounds.milliseconds(request.sound))
        _check_cap(call)
        try:
            hold = await self._metering.hold(
                principal,
                call_id,
                min_nusd=call.cost_nusd,
                wanted_nusd=call.cost_nusd,
                model=model.id,
                engine=engine.name,
                repeatable=request.repeatable,
                facts=facts,
            )
        except InsufficientCredit as refusal:
            raise _in_our_words(refusal, call) from None
        return TranscriptionCall(call, TranscriptionAttempts(paths, call), hold, self._calls)

    def _paths(self, principal: Principal, name: str, facts: CallFacts) -> tuple[TranscriptionModel, _Paths]:
        """Return the model that is to write, and its engines. Raises `ApiError`."""
        facts.asked = name
        model = self._catalog.transcription_model(name)
        facts.model = model.id
        check_model(principal, model)
        return model, self._router.paths(model)

    async def _again(self, answered: AlreadyAnswered, facts: CallFacts) -> KeptTranscription:
        facts.replayed = True
        return _decode_kept(await earlier_reply(self._replays, answered))


def _check_cap(call: MeasuredCall) -> None:
    """Raise `SoundOverCap` where the sound costs more than its caller allows."""
    cap = call.request.max_cost_nusd
    if cap is not None and call.cost_nusd > cap:
        needed = format_usd(call.cost_nusd)
        raise SoundOverCap(param="x-max-cost", seconds=_seconds(call), needed=needed, cap=format_usd(cap))


def _in_our_words(refusal: InsufficientCredit, call: MeasuredCall) -> InsufficientCredit:
    """Return what the caller is told whom the ledger refused."""
    words = SoundOverKeyLimit if isinstance(refusal, KeyLimitReached) else SoundUnpaid
    return words(seconds=_seconds(call), needed=refusal.facts["needed"], available=refusal.facts["available"])


def _seconds(call: MeasuredCall) -> str:
    """Return how long the sound is, for people."""
    return f"{call.milliseconds / 1000:.1f}"
