"""Replies that are kept for callers who repeat their call (`Idempotency-Key`), encrypted, for 24 hours.

They are claimed by the hold and written by the settlement (`ledger_hold_v2`, `ledger_settle_v2`), or by the making of a job
(`job_create_v1`): here they are read.
"""

from __future__ import annotations

from uuid import UUID

from minitoolai.core.ledger import Repeatable
from minitoolai.storage.database import Database
from minitoolai.storage.seal import Seal

#: The same call of the account, as `ledger_hold_v2` finds it: no account that is suspended is told.
_ANSWERED = """
    SELECT r.call_id FROM replays r JOIN accounts a ON a.id = r.account_id AND a.suspended_at IS NULL
    WHERE r.account_id = $1 AND r.key_mark = $2 AND r.body_mark = $3 AND r.reply IS NOT NULL
      AND r.created_at > clock_timestamp() - interval '24 hours'
"""
#: What is given again is noted: a job is not undone by `job_undo_v1` then.
_FIND = "UPDATE replays SET repeated = true WHERE call_id = $1 AND reply IS NOT NULL RETURNING reply"


class PgReplays:
    """Replies by the call that first gave them."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def find(self, call_id: UUID) -> bytes | None:
        """Return the reply of a call, which is to be given again, or None when it was erased meanwhile.

        Raises `DatabaseUnavailable`.
        """
        async with self._database.connection() as connection:
            sealed = await connection.fetchval(_FIND, call_id)
        return None if sealed is None else self._seal.open(sealed, call_id.bytes)

    async def answered(self, account_id: int, call: Repeatable) -> UUID | None:
        """Return the call of the account that was the same and has a reply, or None. Raises `DatabaseUnavailable`."""
        key, body = self._seal.mark(call.key.encode()), self._seal.mark(call.body_digest)
        async with self._database.connection() as connection:
            found: UUID | None = await connection.fetchval(_ANSWERED, account_id, key, body)
        return found
