"""The use case of speech that its caller waits for: hold what the text costs, speak (`speech_call`), or give an earlier
sound again."""

from __future__ import annotations

import contextlib
from uuid import UUID

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, SpeechModel
from minitoolai.core.errors import InsufficientCredit, NoEngine
from minitoolai.core.inner_errors import AlreadyAnswered
from minitoolai.core.quotes import Quote, QuoteLine
from minitoolai.core.records import CallFacts
from minitoolai.services.access import check_model
from minitoolai.services.asked_speech import AskedSpeech, in_our_words
from minitoolai.services.calls import OpenCalls
from minitoolai.services.kept_speech import Respoken, SoundKeeper
from minitoolai.services.metering import Hold, Metering, look_back
from minitoolai.services.ports import Replays
from minitoolai.services.routing import Path, Router
from minitoolai.services.speech_call import SpeechAttempts, SpeechCall, SpeechSink
from minitoolai.services.speech_ports import KeptSounds, SpeechEngine

_Paths = list[Path[SpeechModel, SpeechEngine]]


class Speech:
    """The use case of speech."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router[SpeechModel, SpeechEngine],
        metering: Metering,
        calls: OpenCalls,
        replays: Replays,
        sounds: KeptSounds,
    ) -> None:
        self._catalog = catalog
        self._router = router
        self._metering = metering
        self._calls = calls
        self._replays = replays
        self._keeper = SoundKeeper(sounds, replays)

    async def speak(
        self, principal: Principal, call_id: UUID, asked: AskedSpeech, sink: SpeechSink, facts: CallFacts | None = None
    ) -> Respoken | None:
        """Speak into `sink`; `facts` are told what is learnt of the call. What an earlier call got is returned instead.

        Raises `ApiError` as `SpeechCall.run`, and `CallerLeft`.
        """
        facts = facts or CallFacts()
        facts.stream = True
        try:
            model, paths, hold = await self._begin(principal, call_id, asked, facts)
        except AlreadyAnswered as answered:
            facts.replayed = True
            return await self._keeper.again(answered)
        attempts = SpeechAttempts(paths, model.id, asked)
        with (call := SpeechCall(model, asked, attempts, hold, self._calls, self._keeper)):
            await call.run(sink)
        return None

    async def check(self, principal: Principal, asked: AskedSpeech, facts: CallFacts | None = None) -> None:
        """Raise `ApiError` for what is never spoken; whether an engine is there does not matter."""
        with contextlib.suppress(NoEngine):
            model, paths = self._paths(principal, asked, facts or CallFacts())
            await paths[0].engine.prove(model, asked.speech)

    def quote(self, principal: Principal, asked: AskedSpeech, facts: CallFacts | None = None) -> Quote:
        """Return what the text costs. Raises `ApiError`."""
        model, _ = self._paths(principal, asked, facts or CallFacts())
        cost = model.cost_nusd(asked.characters)
        return Quote(model.id, cost, None, (QuoteLine("characters", asked.characters, model.character_nusd_per_1m, cost),))

    async def _begin(
        self, principal: Principal, call_id: UUID, asked: AskedSpeech, facts: CallFacts
    ) -> tuple[SpeechModel, _Paths, Hold]:
        try:
            model, paths = self._paths(principal, asked, facts)
        except NoEngine:
            await look_back(self._replays, principal, asked.repeatable)
            raise
        asked.check_cap(model)
        cost = model.cost_nusd(asked.characters)
        try:
            hold = await self._metering.hold(
                principal,
                call_id,
                min_nusd=cost,
                wanted_nusd=cost,
                model=model.id,
                engine=paths[0].engine.name,
                repeatable=asked.repeatable,
                facts=facts,
            )
        except InsufficientCredit as refusal:
            raise in_our_words(refusal) from None
        return model, paths, hold

    def _paths(self, principal: Principal, asked: AskedSpeech, facts: CallFacts) -> tuple[SpeechModel, _Paths]:
        """Return the model that is to speak, and its engines. Raises `ApiError`."""
        facts.asked = asked.model
        model = self._catalog.speech_model(asked.model)
        facts.model = model.id
        check_model(principal, model)
        paths = self._router.paths(model)
        paths[0].engine.check(model, asked.speech)
        return model, paths
