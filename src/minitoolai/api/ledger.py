"""`GET /v1/ledger`: the statement, every movement of the account's money or of a key's calls."""

from __future__ import annotations

from typing import Any, Protocol

from minitoolai.api.queries import Hex, Micros, Query, Small, midnight
from minitoolai.api.tables import reply_page, shown_time, wants_csv
from minitoolai.core.errors import InvalidValue
from minitoolai.core.ids import request_id
from minitoolai.core.ledger import TransferKind
from minitoolai.core.money import format_usd
from minitoolai.core.reports import Entry, Mark, Page, Period, Scope
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access

PARAMETERS = ("from", "to", "limit", "after", "format")
COLUMNS = ("id", "kind", "amount", "at", "request_id", "model", "key_id")


class Statement(Protocol):
    """Where movements are read."""

    async def entries(self, scope: Scope, period: Period, *, after: Mark | None, limit: int) -> Page[Entry]:
        """Return movements, the newest first."""
        ...


def add_ledger(routes: Routes, access: Access, statement: Statement) -> None:
    """Add the route."""

    async def ledger(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        query = Query(exchange, PARAMETERS)
        as_csv = wants_csv(exchange, query)
        after = query.mark(Micros, Hex, Small)
        found = await statement.entries(Scope.of(principal), _period(query), after=after, limit=query.limit)
        await reply_page(exchange, [_entry(row) for row in found.rows], found.next, columns=COLUMNS, as_csv=as_csv)

    routes.add("GET", "/v1/ledger", ledger)


def _period(query: Query) -> Period:
    first, end = query.day("from"), query.day("to")
    if first is not None and end is not None and first >= end:
        raise InvalidValue(param="to", why="it is the day after the last one, so it comes after from.")
    return Period(midnight(first) if first is not None else None, midnight(end) if end is not None else None)


def _entry(row: Entry) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "kind": row.kind.name.lower(),
        "amount": format_usd(row.amount),
        "at": shown_time(row.at),
        "request_id": None if row.kind is TransferKind.CREDIT else request_id(row.id),
        "model": row.model,
        "key_id": row.key_id,
    }
