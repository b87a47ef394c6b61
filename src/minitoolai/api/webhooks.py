"""`GET /v1/webhook-secret`: what messages to the account's webhooks are verified with (docs/reference/webhooks.md)."""

from __future__ import annotations

import msgspec

from minitoolai.core.webhooks import shown_secret
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access

_encode = msgspec.json.Encoder().encode


def add_webhooks(routes: Routes, access: Access, key: bytes) -> None:
    """Add the route. `key`: as messages are signed with."""

    async def secret(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        shown = {"object": "webhook_secret", "secret": shown_secret(key, principal.account_id)}
        await exchange.reply(200, _encode(shown), [(b"cache-control", b"no-store")])

    routes.add("GET", "/v1/webhook-secret", secret)
