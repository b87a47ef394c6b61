"""Staying alive in the ledger's eyes, and closing the books of processes that did not (docs/concepts/money.md)."""

from __future__ import annotations

import asyncio
import logging

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.services.calls import OpenCalls
from minitoolai.services.ports import Ledger

#: A lease of 15 s survives two renewals that fail.
RENEW_S = 5.0
#: After an outage everybody's lease has lapsed: nobody is called dead before all had time to renew.
GRACE_S = 20.0

log = logging.getLogger(__name__)


async def keep_lease(ledger: Ledger, calls: OpenCalls) -> None:
    """Renew this process's lease and sweep, for ever."""
    loop = asyncio.get_running_loop()
    reachable_since: float | None = loop.time()
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            if not await ledger.renew(calls.produced()):
                log.error("the lease lapsed: open calls were closed by the sweeper and will be settled late")
                await ledger.register()
            if reachable_since is None:
                reachable_since = loop.time()
                log.warning("the database is back")
            if loop.time() - reachable_since >= GRACE_S:
                swept = await ledger.sweep()
                if swept:
                    log.warning("closed %d calls of processes that died", swept)
        except DatabaseUnavailable:
            if reachable_since is not None:
                log.error("the database cannot be reached: calls are refused until it is back")
            reachable_since = None
        except Exception:  # the loop's boundary: without a lease every open call would be closed
            log.exception("renewing the lease failed")
