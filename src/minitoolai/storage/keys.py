"""Finding whom a key belongs to, and hearing at once when that changes."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

from minitoolai.core.access import Principal
from minitoolai.storage.database import Database
from minitoolai.storage.listening import listen

CHANNEL = "minitoolai_keys"

_FIND = """SELECT k.id, k.account_id, k.models, k.expires_at, k.revoked_at IS NOT NULL AS revoked,
    a.suspended_at IS NOT NULL AS suspended, k.owner, k.addresses
    FROM keys k JOIN accounts a ON a.id = k.account_id WHERE k.digest = $1"""


class PgKeys:
    """Keys by their digest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digest: bytes) -> Principal | None:
        """Return whom the key with this SHA-256 is for, revoked and expired ones too; None when there is none."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND, digest)
        if row is None:
            return None
        return Principal(
            account_id=row["account_id"],
            key_id=row["id"],
            models=frozenset(row["models"]) if row["models"] is not None else None,
            expires_at=row["expires_at"],
            revoked=row["revoked"],
            suspended=row["suspended"],
            owner=row["owner"],
            networks=tuple(map(ip_network, row["addresses"])) if row["addresses"] is not None else None,
        )

    async def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever some key or account changed, and after every gap in listening; for ever."""
        await listen(self._database.url, CHANNEL, lambda _: changed())
