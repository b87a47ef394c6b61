"""What every use case of a gateway is built on whose calls are paid while their callers wait."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minitoolai.core.catalog import Catalog
from minitoolai.runtime.engines import Engines
from minitoolai.services.access import Access
from minitoolai.services.calls import OpenCalls
from minitoolai.services.metering import Metering
from minitoolai.services.ports import Replays
from minitoolai.services.routing import AnyEngine, Router


@dataclass(frozen=True, slots=True)
class PaidParts:
    """The parts, one of each in a process."""

    access: Access
    catalog: Catalog
    engines: Engines
    metering: Metering
    calls: OpenCalls
    replays: Replays

    def router(self, engines: Mapping[str, AnyEngine]) -> Router[Any, AnyEngine]:
        """Return what says which of `engines` answers a call."""
        return Router(engines, self.engines.failures, random.SystemRandom())
