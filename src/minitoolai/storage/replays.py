"""Replies that are kept for callers who repeat their call (`Idempotency-Key`), encrypted, for 24 hours.

They are claimed by the hold and written by the settlement (`ledger_hold_v2`, `ledger_settle_v2`): here they are read.
"""

from __future__ import annotations

from uuid import UUID

from minitoolai.storage.database import Database
from minitoolai.storage.seal import Seal

_FIND = "SELECT reply FROM replays WHERE call_id = $1 AND reply IS NOT NULL"


class PgReplays:
    """Replies by the call that first gave them."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def find(self, call_id: UUID) -> bytes | None:
        """Return the reply of a call, or None when it was erased meanwhile. Raises `DatabaseUnavailable`."""
        async with self._database.connection() as connection:
            sealed = await connection.fetchval(_FIND, call_id)
        return None if sealed is None else self._seal.open(sealed, call_id.bytes)
