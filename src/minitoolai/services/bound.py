"""A call's largest cost: coarse at first, and counted only where that decides something."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Generic

from minitoolai.core.errors import CostCapExceeded, InsufficientCredit, KeyTokensLimited
from minitoolai.core.money import format_usd
from minitoolai.services.metering import Hold
from minitoolai.services.routing import AnyEngine


class Bound(ABC, Generic[AnyEngine]):
    """The most that a call may use and cost."""

    #: Whether nothing closer can be known.
    closest: bool

    @abstractmethod
    def wanted_nusd(self) -> int:
        """Return the largest possible cost."""

    @abstractmethod
    async def count_exactly(self, engine: AnyEngine) -> None:
        """Replace the bound by the count, where `engine` can count. Raises `ApiError` for what the model cannot read."""

    async def check_cap(self, engine: AnyEngine, cap_nusd: int | None) -> None:
        """Raise `CostCapExceeded` when the call may cost more than its caller allows; None: anything."""
        if cap_nusd is None:
            return
        if self.wanted_nusd() > cap_nusd and not self.closest:
            await self.count_exactly(engine)
        if self.wanted_nusd() > cap_nusd:
            raise CostCapExceeded(param="x-max-cost", needed=format_usd(self.wanted_nusd()), cap=format_usd(cap_nusd))

    async def held(self, engine: AnyEngine, hold: Callable[[], Awaitable[Hold]]) -> Hold:
        """Return what `hold` holds; where the bound is too much, what it holds once that was counted. Raises as `hold`."""
        try:
            return await hold()
        except (InsufficientCredit, KeyTokensLimited):
            if self.closest:
                raise
            await self.count_exactly(engine)
            return await hold()
