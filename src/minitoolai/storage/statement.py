"""The statement: the movements of an account's money, or those that one key's calls made."""

from __future__ import annotations

from uuid import UUID

from minitoolai.core.ledger import TransferKind
from minitoolai.core.reports import Entry, Mark, Page, Period, Scope
from minitoolai.storage.database import Database
from minitoolai.storage.pages import Conditions, micros, moment_of, page

#: An account's movements, from either side of the entries. Their calls' records are written within the same second, but
#: for a late capture, whose record is up to two days older; a clock may be set back.
_ACCOUNTS = """SELECT t.*, t.at AS place, u.model, u.key_id FROM (
    (SELECT id, kind, created_at AS at, amount FROM transfers
        WHERE credit = {account} AND credit >= 1000 AND {where} ORDER BY {order} LIMIT {limit})
    UNION ALL
    (SELECT id, kind, created_at AS at, -amount FROM transfers
        WHERE debit = {account} AND debit >= 1000 AND {where} ORDER BY {order} LIMIT {limit})
    ORDER BY at DESC, id DESC, kind DESC LIMIT {limit}
    ) t LEFT JOIN LATERAL (
        SELECT model, key_id FROM usage_records u WHERE u.id = t.id AND u.account_id = {account}
        AND u.created_at BETWEEN t.at - interval '3 days' AND t.at + interval '1 day' LIMIT 1
    ) u ON true ORDER BY t.at DESC, t.id DESC, t.kind DESC"""
#: A key's movements, in the order in which its calls ended.
_KEYS = """SELECT t.id, t.kind, t.created_at AS at, -t.amount AS amount, u.created_at AS place, u.model, u.key_id
    FROM usage_records u JOIN transfers t ON t.id = u.id AND t.debit = u.account_id
        AND t.created_at BETWEEN u.created_at - interval '1 day' AND u.created_at + interval '3 days'
    WHERE u.account_id = {account} AND {where} ORDER BY u.created_at DESC, t.id DESC, t.kind DESC LIMIT {limit}"""


class PgStatement:
    """Movements, the newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, scope: Scope, period: Period, *, after: Mark | None, limit: int) -> Page[Entry]:
        """Return movements in a period. A mark: the last one's time, id and kind."""
        where = Conditions()
        account = where.place(scope.account_id)
        if scope.key_id is None:
            query, placed = _ACCOUNTS, ("created_at", "id", "kind")
        else:
            query, placed = _KEYS, ("u.created_at", "t.id", "t.kind")
            where.add("u.key_id = {}", scope.key_id)
        where.within(placed[0], period)
        if after is not None:
            at, entry_id, kind = after
            where.add(f"({', '.join(placed)}) < ({{}}, {{}}, {{}})", moment_of(int(at)), UUID(str(entry_id)), int(kind))
        order = ", ".join(f"{column} DESC" for column in placed)
        text = query.format(account=account, where=where.text, order=order, limit=where.place(limit + 1))
        async with self._database.connection() as connection:
            rows = await connection.fetch(text, *where.values)
        marks = {(row["id"], row["kind"]): micros(row["place"]) for row in rows}
        found = [
            Entry(row["id"], TransferKind(row["kind"]), row["amount"], row["model"], row["key_id"], row["at"])
            for row in rows
        ]
        return page(found, limit, lambda last: (marks[last.id, last.kind], last.id.hex, int(last.kind)))
