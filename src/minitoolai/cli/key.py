"""`minitoolai key create | set | revoke | list`."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import Any

from minitoolai.cli.context import CommandFailed, Commands, Context, common, moment, positive, table
from minitoolai.cli.key_terms import add_terms, changes, new_terms
from minitoolai.core.access import KEY_BYTES, key_digest, key_hint, make_key
from minitoolai.core.accounts import KeyView, LimitReset
from minitoolai.core.money import format_usd
from minitoolai.storage.key_book import PgKeyBook


def add_to(commands: Commands) -> None:
    """Add the family."""
    family = commands.add_parser("key", help="API keys").add_subparsers(dest="action", required=True, metavar="ACTION")
    create = common(family.add_parser("create", help="make a key; it is shown once"))
    create.add_argument("--account", required=True, metavar="NAME")
    create.add_argument("--owner", action="store_true", help="it sees the whole account's usage and statement")
    add_terms(create)
    create.set_defaults(run=_create)
    change = common(family.add_parser("set", help="change what a key may do; `none` takes a limit away"))
    change.add_argument("id", type=positive)
    change.add_argument("--owner", choices=("yes", "no"), help="whether it sees the whole account's usage and statement")
    add_terms(change)
    change.set_defaults(run=_set)
    revoke = common(family.add_parser("revoke", help="revoke a key at once and for good"))
    revoke.add_argument("id", type=positive)
    revoke.set_defaults(run=_revoke)
    listing = common(family.add_parser("list", help="list keys"))
    listing.add_argument("--account", metavar="NAME")
    listing.set_defaults(run=_list)


async def _create(context: Context, options: argparse.Namespace) -> None:
    terms = new_terms(context, options)
    secret = make_key(os.urandom(KEY_BYTES))
    async with context.database() as database:
        key = await PgKeyBook(database).create(
            options.account, digest=key_digest(secret), hint=key_hint(secret), terms=terms, actor=context.actor
        )
    context.say({"id": key.id, "key": secret}, f"made key {key.id} for account {key.account}; shown once:\n{secret}")


async def _set(context: Context, options: argparse.Namespace) -> None:
    wanted = changes(context, options)
    if not wanted:
        raise CommandFailed("nothing to change: name what the key gets, as --limit 5 or --limit none")
    async with context.database() as database:
        key = await PgKeyBook(database).change(options.id, wanted, actor=context.actor)
    context.say(_shown(key), f"changed key {key.id} ({key.hint}) of account {key.account}")


async def _revoke(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        key = await PgKeyBook(database).revoke(options.id, actor=context.actor)
    context.say(_shown(key), f"revoked key {key.id} ({key.hint}) of account {key.account}")


async def _list(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        keys = await PgKeyBook(database).all(options.account)
    rows = [("ID", "ACCOUNT", "KEY", "NAME", "SPENT", "LIMIT", "STATE", "TERMS")]
    rows += [
        (
            str(key.id),
            key.account,
            key.hint,
            key.terms.name,
            format_usd(key.spent_in_period),
            _limit(key),
            _state(key),
            _terms(key),
        )
        for key in keys
    ]
    context.say([_shown(key) for key in keys], table(rows))


def _limit(key: KeyView) -> str:
    if key.terms.spend_limit is None:
        return "none"
    reset = key.terms.limit_reset
    return format_usd(key.terms.spend_limit) + ("" if reset is LimitReset.NEVER else f" a {reset}")


def _terms(key: KeyView) -> str:
    """Return what else bounds a key, for the table."""
    terms = key.terms
    found = {
        "models": terms.models and ",".join(terms.models),
        "addresses": terms.addresses and ",".join(terms.addresses),
        "requests/min": terms.requests_per_minute,
        "tokens/min": terms.tokens_per_minute,
        "until": moment(terms.expires_at),
    }
    return " ".join([*(["owner"] if terms.owner else []), *(f"{name}={value}" for name, value in found.items() if value)])


def _state(key: KeyView) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.terms.expires_at is not None and key.terms.expires_at <= datetime.now(UTC):
        return "expired"
    return "active"


def _shown(key: KeyView) -> dict[str, Any]:
    terms = key.terms
    return {
        "id": key.id,
        "account": key.account,
        "name": terms.name,
        "hint": key.hint,
        "state": _state(key),
        "owner": terms.owner,
        "limit": None if terms.spend_limit is None else format_usd(terms.spend_limit),
        "limit_reset": terms.limit_reset,
        "resets_at": moment(key.resets_at),
        "spent": format_usd(key.spent),
        "spent_in_period": format_usd(key.spent_in_period),
        "held": format_usd(key.held),
        "models": terms.models,
        "addresses": terms.addresses,
        "requests_per_minute": terms.requests_per_minute,
        "tokens_per_minute": terms.tokens_per_minute,
        "expires": moment(terms.expires_at),
        "last_used": moment(key.last_used_at),
        "created": moment(key.created_at),
    }
