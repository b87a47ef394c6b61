"""Asking a server whether it is ready."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from minitoolai.runtime.postgres.errors import DatabaseStartFailed

#: How long one connection may take before it counts as no answer, in seconds.
CONNECT_TIMEOUT_S = 10.0


def says_ready(pid_file: Path) -> bool:
    """Whether the server's own status line (the eighth) says so: connections while it starts would fill its log."""
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


async def answers(url: str) -> bool:
    """Whether the server takes our password and a query; raises `DatabaseStartFailed` where it never will."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise DatabaseStartFailed(
            "the embedded database refuses the password in its folder: stop the server, delete the file "
            "`password` there, and start it again"
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseStartFailed(f"the embedded database is not whole ({error}): restore a backup") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # starting, or out of connections for the moment
    try:
        await connection.execute("SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    finally:
        connection.terminate()
    return True
