"""`/healthz`: the process lives. `/readyz`: it can take calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from minitoolai.edge.application import Application, Routes
from minitoolai.edge.exchange import Exchange

Readiness = Callable[[], Awaitable[dict[str, Any]]]

_encode = msgspec.json.Encoder().encode


def add_health(routes: Routes, application: Application, readiness: Readiness) -> None:
    """Add both routes. `readiness` says `{"ready": bool, …}`; it must not raise."""

    async def healthz(exchange: Exchange) -> None:
        await exchange.reply(200, b'{"status":"ok"}')

    async def readyz(exchange: Exchange) -> None:
        state = await readiness()
        ready = bool(state.pop("ready")) and not application.draining
        word = "ready" if ready else "draining" if application.draining else "not ready"
        await exchange.reply(200 if ready else 503, _encode({"status": word, **state}))

    routes.add("GET", "/healthz", healthz)
    routes.add("GET", "/readyz", readyz)
