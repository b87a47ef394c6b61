"""What happens once in a database's life: in the sandbox, an account with credit and a key."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from minitoolai.core.access import KEY_BYTES, key_digest, key_hint, make_key
from minitoolai.core.accounts import KeyTerms
from minitoolai.core.money import parse_usd
from minitoolai.services.metering import new_call_id
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.database import Database
from minitoolai.storage.facts import PgFacts
from minitoolai.storage.key_book import PgKeyBook

ACCOUNT = "sandbox"
CREDIT_USD = "5.00"
_FILE = "first-key"
_ACTOR = "first start"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the first start made."""

    account: str
    credit_usd: str
    key: str
    #: Where the key stands, for this user alone; None: it is only shown on the terminal.
    file: Path | None


async def first_start(database: Database, data_dir: Path, *, sandbox: bool) -> FirstStart | None:
    """Make the sandbox's account when the database has none; None when there was nothing to do."""
    if not sandbox or await PgFacts(database).has_accounts():
        return None
    accounts = PgAccounts(database)
    await accounts.create(ACCOUNT, actor=_ACTOR)
    await accounts.credit(ACCOUNT, parse_usd(CREDIT_USD), credit_id="first start", transfer_id=new_call_id(), actor=_ACTOR)
    key = make_key(os.urandom(KEY_BYTES))
    await PgKeyBook(database).create(
        ACCOUNT,
        digest=key_digest(key),
        hint=key_hint(key),
        terms=KeyTerms(name="first", owner=True),
        actor=_ACTOR,
    )
    if sys.stdout.isatty():
        return FirstStart(ACCOUNT, CREDIT_USD, key, None)
    file = data_dir / _FILE
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
        new.write(key + "\n")
    return FirstStart(ACCOUNT, CREDIT_USD, key, file)
