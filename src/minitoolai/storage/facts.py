"""Single facts about an installation that live with its data."""

from __future__ import annotations

from minitoolai.storage.database import Database


class PgFacts:
    """Named values, each written once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, name: str, value: str) -> str:
        """Write `name` unless it stands already; return the value that stands."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", name, value
            )
            return str(await connection.fetchval("SELECT value FROM facts WHERE name = $1", name))

    async def has_accounts(self) -> bool:
        """Whether any account was ever made."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT 1 FROM accounts)"))
