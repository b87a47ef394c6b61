"""`GET /v1/balance`: what the account has, what is held, what can be spent; and what the key may still spend."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from minitoolai.api.tables import shown_time
from minitoolai.core.accounts import AccountView, KeyView
from minitoolai.core.money import format_usd
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access

_encode = msgspec.json.Encoder().encode


class Accounts(Protocol):
    """Where accounts are read."""

    async def show_by_id(self, account_id: int) -> AccountView:
        """Return an account."""
        ...


class Keys(Protocol):
    """Where keys are read."""

    async def show(self, key_id: int) -> KeyView:
        """Return a key."""
        ...


def add_account(routes: Routes, access: Access, accounts: Accounts, keys: Keys) -> None:
    """Add the route."""

    async def balance(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        account = await accounts.show_by_id(principal.account_id)
        shown: dict[str, Any] = {
            "object": "balance",
            "balance": format_usd(account.balance),
            "held": format_usd(account.held),
            "available": format_usd(account.available),
            "currency": "USD",
        }
        key = await keys.show(principal.key_id)
        if key.terms.spend_limit is not None and key.remaining is not None:
            shown["key"] = {
                "limit": format_usd(key.terms.spend_limit),
                "limit_reset": key.terms.limit_reset,
                "spent": format_usd(key.spent_in_period),
                "held": format_usd(key.held),
                "remaining": format_usd(key.remaining),
                "resets_at": shown_time(key.resets_at) if key.resets_at is not None else None,
            }
        await exchange.reply(200, _encode(shown))

    routes.add("GET", "/v1/balance", balance)
