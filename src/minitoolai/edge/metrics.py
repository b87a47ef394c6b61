"""`/metrics`: for Prometheus on the same machine, or elsewhere with the operator's token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from minitoolai.core.errors import MetricsNotAllowed
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange

Page = Callable[[], Awaitable[bytes]]

#: Prometheus's text format (https://prometheus.io/docs/instrumenting/exposition_formats/).
MEDIA = b"text/plain; version=0.0.4; charset=utf-8"
#: Set by proxies, behind which every caller's peer is this machine.
_FORWARDED = (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via")


def add_metrics(routes: Routes, page: Page, token: str | None) -> None:
    """Add the route. `token`: lets callers of other machines in; None: there are none."""

    async def metrics(exchange: Exchange) -> None:
        if not (_is_local(exchange) or _has_token(exchange, token)):
            raise MetricsNotAllowed()
        await exchange.reply(200, await page(), media=MEDIA)

    routes.add("GET", "/metrics", metrics)


def _is_local(exchange: Exchange) -> bool:
    """Whether the caller is a program of this machine, and no proxy that speaks for another."""
    peer = exchange.scope.get("client")
    if peer is None or any(name in _FORWARDED for name, _ in exchange.scope["headers"]):
        return False
    try:
        address = ip_address(peer[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _has_token(exchange: Exchange, token: str | None) -> bool:
    if not token:
        return False
    given = (exchange.header(b"authorization") or "").encode("latin-1")
    return hmac.compare_digest(given, b"Bearer " + token.encode())
