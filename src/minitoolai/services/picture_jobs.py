"""The use case of pictures: what is asked of their jobs, and what they cost. `jobs` makes them, workers draw them."""

from __future__ import annotations

import random
from uuid import UUID

import msgspec

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.core.jobs import NewJob
from minitoolai.core.pictures import MAX_SEED
from minitoolai.core.quotes import Quote, QuoteLine
from minitoolai.core.records import CallFacts
from minitoolai.services.access import check_model
from minitoolai.services.jobs import JobDesk, Made
from minitoolai.services.picture_call import PictureCall, in_our_words

_encode = msgspec.json.Encoder().encode


class PictureJobs:
    """The jobs of pictures of one process."""

    def __init__(self, catalog: Catalog, desk: JobDesk, *, chance: random.Random) -> None:
        """`chance` draws the seeds of pictures whose callers give none."""
        self._catalog = catalog
        self.desk = desk
        self._chance = chance

    def new_seed(self) -> int:
        """Return a seed for a picture whose caller gives none."""
        return self._chance.randrange(MAX_SEED + 1)

    async def create(self, principal: Principal, call_id: UUID, call: PictureCall, facts: CallFacts | None = None) -> Made:
        """Make the job of a picture; see `JobDesk.create`."""
        facts = facts or CallFacts()

        def order() -> NewJob:
            model, fitted = self._fit(principal, call, facts)
            fitted.check_cap(model.image_nusd)
            assert model.engine is not None
            return NewJob(
                0,
                call_id,
                principal.account_id,
                principal.key_id,
                model.image_nusd,
                model.id,
                model.engine,
                _encode(fitted.picture),
                webhook_url=call.webhook_url,
                repeatable=call.repeatable,
            )

        return await self.desk.create(principal, call.repeatable, order, in_our_words, facts)

    def quote(self, principal: Principal, call: PictureCall, facts: CallFacts | None = None) -> Quote:
        """Return what the call's pictures cost. Raises `ApiError`."""
        model, call = self._fit(principal, call, facts or CallFacts())
        cost = call.count * model.image_nusd
        return Quote(model.id, cost, None, (QuoteLine("images", call.count, None, cost),))

    def _fit(self, principal: Principal, call: PictureCall, facts: CallFacts) -> tuple[PictureModel, PictureCall]:
        """Return the model that is to draw, and what. Raises `ApiError` where the key may not use it, or it does not
        draw that."""
        facts.asked = call.model
        model = self._catalog.picture_model(call.model)
        facts.model, facts.engine = model.id, model.engine
        check_model(principal, model)
        return model, call.fitted(model)
