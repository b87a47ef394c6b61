"""Proves promise P1 on a live database: money is conserved.

All in one snapshot, so calls may go on meanwhile. The queries recompute every materialised figure from the immutable
rows below it.
"""

from __future__ import annotations

from minitoolai.core.accounts import LedgerReport
from minitoolai.core.money import format_usd
from minitoolai.storage.database import Database

#: Seconds after its process's lease ended by which a hold must be gone (docs/concepts/money.md: sweep 5 s, grace 20 s).
HOLD_GRACE_S = 45
#: Verification reads every entry: far longer than any call's statement.
_TIMEOUT_S = 3600.0

_BALANCES = """
    SELECT a.name, a.balance, coalesce(t.amount, 0)::bigint AS entries
    FROM accounts a LEFT JOIN (
        SELECT account_id, sum(amount) AS amount FROM (
            SELECT credit AS account_id, amount FROM transfers WHERE credit >= 1000
            UNION ALL SELECT debit, -amount FROM transfers WHERE debit >= 1000) m
        GROUP BY account_id) t ON t.account_id = a.id
    WHERE a.balance <> coalesce(t.amount, 0)"""
_ORPHANS = """
    SELECT m.account_id, sum(m.amount)::bigint AS amount FROM (
        SELECT credit AS account_id, amount FROM transfers WHERE credit >= 1000
        UNION ALL SELECT debit, amount FROM transfers WHERE debit >= 1000) m
    WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = m.account_id) GROUP BY m.account_id"""
_HELD = """
    SELECT a.name, a.held, coalesce(h.amount, 0)::bigint AS holds
    FROM accounts a LEFT JOIN (
        SELECT account_id, sum(amount) AS amount FROM holds WHERE expired_at IS NULL GROUP BY account_id) h
        ON h.account_id = a.id
    WHERE a.held <> coalesce(h.amount, 0) OR a.held < 0 OR a.balance - a.held < 0"""
_KEYS = """
    SELECT k.id, k.held, k.spent, coalesce(h.amount, 0)::bigint AS holds, coalesce(u.cost, 0)::bigint AS cost
    FROM keys k
    LEFT JOIN (SELECT key_id, sum(amount) AS amount FROM holds WHERE expired_at IS NULL GROUP BY key_id) h
        ON h.key_id = k.id
    LEFT JOIN (SELECT key_id, sum(cost) AS cost FROM usage_records GROUP BY key_id) u ON u.key_id = k.id
    WHERE k.held <> coalesce(h.amount, 0) OR k.spent <> coalesce(u.cost, 0) OR k.spent < k.spent_before"""
_CALLS = """
    SELECT coalesce(u.id, t.id) AS id, coalesce(u.cost, 0)::bigint AS cost, coalesce(t.amount, 0)::bigint AS charged
    FROM (SELECT id, sum(cost) AS cost FROM usage_records GROUP BY id) u
    FULL JOIN (SELECT id, sum(amount) AS amount FROM transfers WHERE kind IN (2, 3, 4) GROUP BY id) t ON t.id = u.id
    WHERE coalesce(u.cost, 0) <> coalesce(t.amount, 0) LIMIT 20"""
_TWICE = """
    SELECT id, kind, count(*) AS times FROM transfers GROUP BY id, kind HAVING count(*) > 1
    UNION ALL SELECT id, 0, count(*) FROM usage_records GROUP BY id HAVING count(*) > 1 LIMIT 20"""
_CREDITS = """
    SELECT c.id, c.amount, coalesce(t.amount, 0)::bigint AS moved
    FROM credits c FULL JOIN (SELECT id, amount, credit FROM transfers WHERE kind = 1) t
        ON t.id = c.transfer_id AND t.credit = c.account_id
    WHERE c.amount IS DISTINCT FROM t.amount LIMIT 20"""
_STALE = """
    SELECT h.id, h.amount FROM holds h LEFT JOIN processes p ON p.id = h.process_id
    WHERE h.expired_at IS NULL AND h.process_id IS NOT NULL
      AND coalesce(p.lease_until, h.created_at) < clock_timestamp() - make_interval(secs => $1)
    LIMIT 20"""
_JOBS = """
    SELECT coalesce(h.id, j.call_id) AS id, coalesce(j.state, 'gone') AS state,
           coalesce(h.amount, 0)::bigint AS held, coalesce(j.price, 0)::bigint AS price
    FROM (SELECT * FROM holds WHERE process_id IS NULL AND expired_at IS NULL) h
    FULL JOIN (SELECT * FROM jobs WHERE state IN ('queued', 'running')) j ON j.call_id = h.id
    WHERE h.amount IS DISTINCT FROM j.price LIMIT 20"""
_FILES = """
    SELECT j.id, j.state, j.cost, coalesce(u.cost, 0)::bigint AS charged
    FROM jobs j LEFT JOIN usage_records u ON u.id = j.call_id
    WHERE j.ended_at IS NOT NULL AND (u.id IS NULL OR u.cost <> j.cost
          OR (j.state = 'succeeded') <> (CASE j.kind WHEN 'picture' THEN u.images = 1 AND u.characters = 0
                                         ELSE u.images = 0 AND u.characters = j.characters END)
          OR (j.state = 'succeeded') <> (j.cost = j.price AND j.file IS NOT NULL))
    LIMIT 20"""


async def verify_ledger(database: Database) -> LedgerReport:
    """Recompute everything and return what does not agree. Raises `DatabaseUnavailable`."""
    usd = format_usd
    problems: list[str] = []
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):

        async def found(query: str, *arguments: object) -> list[dict[str, object]]:
            return [dict(row) for row in await connection.fetch(query, *arguments, timeout=_TIMEOUT_S)]

        rows = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM transfers) AS entries, "
            "(SELECT count(*) FROM holds WHERE expired_at IS NULL) AS holds",
            timeout=_TIMEOUT_S,
        )
        for name, balance, entries in await connection.fetch(_BALANCES, timeout=_TIMEOUT_S):
            problems.append(f"account {name}: balance {usd(balance)} but its entries sum to {usd(entries)}")
        for account_id, amount in await connection.fetch(_ORPHANS, timeout=_TIMEOUT_S):
            problems.append(f"entries of {usd(amount)} name account {account_id}, which does not exist")
        for name, held, holds in await connection.fetch(_HELD, timeout=_TIMEOUT_S):
            problems.append(f"account {name}: held {usd(held)} but its holds sum to {usd(holds)}, or it is overspent")
        for row in await found(_KEYS):
            problems.append(f"key {row['id']}: spent, held or limit disagree with its calls: {row}")
        for call_id, cost, charged in await connection.fetch(_CALLS, timeout=_TIMEOUT_S):
            problems.append(f"call {call_id}: recorded cost {usd(cost)} but charged {usd(charged)}")
        for row in await found(_TWICE):
            problems.append(f"movement {row['id']} of kind {row['kind']} stands {row['times']} times")
        for row in await found(_CREDITS):
            problems.append(f"credit {row['id']}: {row['amount']} given but {row['moved']} moved (nano-dollars)")
        for hold_id, amount in await connection.fetch(_STALE, HOLD_GRACE_S):
            problems.append(f"hold {hold_id} of {usd(amount)} outlived its process")
        for call_id, state, held, price in await connection.fetch(_JOBS, timeout=_TIMEOUT_S):
            problems.append(f"hold {call_id} of {usd(held)} and its job ({state}, {usd(price)}) do not agree")
        for job_id, state, cost, charged in await connection.fetch(_FILES, timeout=_TIMEOUT_S):
            problems.append(f"job {job_id} ({state}): cost {usd(cost)}, charged {usd(charged)}, or its file is not there")
    return LedgerReport(rows["accounts"], rows["entries"], rows["holds"], tuple(problems))
