"""`GET /v1/balance`: what the account has, what is held, what can be spent."""

from __future__ import annotations

from typing import Protocol

import msgspec

from minitoolai.core.accounts import AccountView
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


def add_account(routes: Routes, access: Access, accounts: Accounts) -> None:
    """Add the route."""

    async def balance(exchange: Exchange) -> None:
        principal = await access.identify(exchange.credentials, exchange.address)
        account = await accounts.show_by_id(principal.account_id)
        shown = {
            "object": "balance",
            "balance": format_usd(account.balance),
            "held": format_usd(account.held),
            "available": format_usd(account.available),
            "currency": "USD",
        }
        await exchange.reply(200, _encode(shown))

    routes.add("GET", "/v1/balance", balance)
