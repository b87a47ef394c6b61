"""The server's secret, from which every purpose derives its own key (docs/concepts/money.md)."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from minitoolai.core.inner_errors import ConfigInvalid, SecretMismatch
from minitoolai.runtime.settings import Settings
from minitoolai.storage.database import Database
from minitoolai.storage.facts import PgFacts

SECRET_BYTES = 32
_FILE = "secret"
_FINGERPRINT = "secret fingerprint"


async def check_secret(database: Database, settings: Settings, environment: Mapping[str, str], data_dir: Path) -> bytes:
    """Return the secret, made at the first start where none is named; its fingerprint stands in the database.

    Raises `ConfigInvalid`, and `SecretMismatch` when the database was set up with another one.
    """
    secret, source = _read(settings, environment, data_dir)
    mark = hmac.new(secret, b"minitoolai: fingerprint", hashlib.sha256).hexdigest()[:32]
    standing = await PgFacts(database).claim(_FINGERPRINT, mark)
    if not hmac.compare_digest(standing, mark):
        raise SecretMismatch(source=source)
    return secret


async def known_secret(database: Database, settings: Settings, environment: Mapping[str, str], data_dir: Path) -> bytes:
    """Return the secret of a server that is there already: as `check_secret`, but none is made.

    Raises `ConfigInvalid`, also where there is none, and `SecretMismatch`.
    """
    file = data_dir / _FILE
    if settings.server.secret_env is None and not file.exists():
        why = (
            f"the server's secret is not here: name a variable that holds it, or copy the server's file '{_FILE}' to {file}"
        )
        raise ConfigInvalid(source="server.secret_env", why=why)
    return await check_secret(database, settings, environment, data_dir)


def _read(settings: Settings, environment: Mapping[str, str], data_dir: Path) -> tuple[bytes, str]:
    name = settings.server.secret_env
    if name is not None:
        secret = environment.get(name, "").encode()
        if len(secret) < SECRET_BYTES:
            why = f"the variable {name} must hold at least {SECRET_BYTES} characters (openssl rand -hex 32 makes some)"
            raise ConfigInvalid(source="server.secret_env", why=why)
        return secret, f"the variable {name}"
    file = data_dir / _FILE
    if not file.exists():
        _write_once(file, os.urandom(SECRET_BYTES).hex())
    text = file.read_text(encoding="ascii").strip()
    if len(text) < SECRET_BYTES:
        raise ConfigInvalid(source=str(file), why="is cut short; restore it from a backup")
    return text.encode(), str(file)


def _write_once(file: Path, text: str) -> None:
    """Make `file` with `text`, whole or not at all; one that is there already stays."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".secret-")  # for this user alone
    with os.fdopen(descriptor, "w") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(name, file)
    os.unlink(name)
