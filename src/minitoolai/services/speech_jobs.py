"""The use case of long speech: what is asked of its jobs, and what they cost. `jobs` makes them, workers speak."""

from __future__ import annotations

from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog
from minitoolai.core.jobs import JobKind, NewJob
from minitoolai.core.records import CallFacts
from minitoolai.services.access import check_model
from minitoolai.services.asked_speech import AskedSpeech, in_our_words
from minitoolai.services.jobs import JobDesk, Made

_encode = msgspec.json.Encoder().encode


class SpeechJobs:
    """The jobs of long texts of one process."""

    def __init__(self, catalog: Catalog, desk: JobDesk) -> None:
        self._catalog = catalog
        self.desk = desk

    async def create(self, principal: Principal, call_id: UUID, asked: AskedSpeech, facts: CallFacts | None = None) -> Made:
        """Make the job of a text; see `JobDesk.create`. It costs what the text does, however long its sound is."""
        facts = facts or CallFacts()

        def order() -> NewJob:
            facts.asked = asked.model
            model = self._catalog.speech_model(asked.model)
            facts.model, facts.engine = model.id, model.engine
            check_model(principal, model)
            asked.check_cap(model)
            assert model.engine is not None
            return NewJob(
                0,
                call_id,
                principal.account_id,
                principal.key_id,
                model.cost_nusd(asked.characters),
                model.id,
                model.engine,
                _encode(asked.speech),
                webhook_url=asked.webhook_url,
                repeatable=asked.repeatable,
                kind=JobKind.SPEECH,
                characters=asked.characters,
                character_nusd_per_1m=model.character_nusd_per_1m,
            )

        return await self.desk.create(principal, asked.repeatable, order, in_our_words, facts)
