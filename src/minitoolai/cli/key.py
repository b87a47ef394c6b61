"""`minitoolai key create | revoke | list`."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import Any

from minitoolai.cli.context import CommandFailed, Commands, Context, common, moment, positive, table
from minitoolai.core.access import KEY_BYTES, key_digest, key_hint, make_key
from minitoolai.core.accounts import KeyView
from minitoolai.core.catalog import Catalog
from minitoolai.core.money import format_usd, parse_usd
from minitoolai.runtime.catalogue import models_of
from minitoolai.storage.accounts import PgAccounts


def add_to(commands: Commands) -> None:
    """Add the family."""
    family = commands.add_parser("key", help="API keys").add_subparsers(dest="action", required=True, metavar="ACTION")
    create = common(family.add_parser("create", help="make a key; it is shown once"))
    create.add_argument("--account", required=True, metavar="NAME")
    create.add_argument("--name", default="", help="what the key is for")
    create.add_argument("--limit", metavar="USD", help="the most it may ever spend")
    create.add_argument("--models", metavar="A,B", help="the models it may use (default: all)")
    create.add_argument("--expires", metavar="DATE", help="when it ends: 2027-01-31 or 2027-01-31T12:00Z (UTC)")
    create.set_defaults(run=_create)
    revoke = common(family.add_parser("revoke", help="revoke a key at once and for good"))
    revoke.add_argument("id", type=positive)
    revoke.set_defaults(run=_revoke)
    listing = common(family.add_parser("list", help="list keys"))
    listing.add_argument("--account", metavar="NAME")
    listing.set_defaults(run=_list)


async def _create(context: Context, options: argparse.Namespace) -> None:
    limit = parse_usd(options.limit) if options.limit is not None else None
    models = _models(context, options.models) if options.models else None
    expires = _date(options.expires) if options.expires else None
    secret = make_key(os.urandom(KEY_BYTES))
    async with context.database() as database:
        key = await PgAccounts(database).create_key(
            options.account,
            digest=key_digest(secret),
            hint=key_hint(secret),
            name=options.name,
            limit_nusd=limit,
            models=models,
            expires_at=expires,
            actor=context.actor,
        )
    context.say({"id": key.id, "key": secret}, f"made key {key.id} for account {key.account}; shown once:\n{secret}")


async def _revoke(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        key = await PgAccounts(database).revoke_key(options.id, actor=context.actor)
    context.say(_shown(key), f"revoked key {key.id} ({key.hint}) of account {key.account}")


async def _list(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        keys = await PgAccounts(database).keys(options.account)
    rows = [("ID", "ACCOUNT", "KEY", "NAME", "SPENT", "LIMIT", "STATE")]
    rows += [
        (
            str(key.id),
            key.account,
            key.hint,
            key.name,
            format_usd(key.spent),
            "none" if key.spend_limit is None else format_usd(key.spend_limit),
            _state(key),
        )
        for key in keys
    ]
    context.say([_shown(key) for key in keys], table(rows))


def _models(context: Context, text: str) -> list[str]:
    """Return the model ids in `A,B`, each checked against the catalogue."""
    catalog = Catalog(models_of(context.settings, context.environment))
    known = catalog.ids()
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise CommandFailed(f"no such model: {', '.join(unknown) or text!r}; the models are: {', '.join(known)}")
    return wanted


def _date(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(f"'{text}' is no date: write 2027-01-31 or 2027-01-31T12:00Z") from None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    if when <= datetime.now(UTC):
        raise CommandFailed(f"'{text}' has passed: give a date to come")
    return when


def _state(key: KeyView) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return "expired"
    return "active"


def _shown(key: KeyView) -> dict[str, Any]:
    return {
        "id": key.id,
        "account": key.account,
        "name": key.name,
        "hint": key.hint,
        "state": _state(key),
        "limit": None if key.spend_limit is None else format_usd(key.spend_limit),
        "spent": format_usd(key.spent),
        "held": format_usd(key.held),
        "models": key.models,
        "expires": moment(key.expires_at),
        "last_used": moment(key.last_used_at),
        "created": moment(key.created_at),
    }
