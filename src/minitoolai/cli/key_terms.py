"""What a key may do, as options of `minitoolai key create` and `key set` say it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

from minitoolai.cli.context import CommandFailed, Context
from minitoolai.core.accounts import KeyTerms, LimitReset
from minitoolai.core.catalog import Catalog
from minitoolai.core.money import parse_usd
from minitoolai.runtime.catalogue import models_of

#: Takes a term away in `key set`.
NONE = "none"
#: Characters of a key's name.
MAX_NAME = 200
#: What the database holds of requests and of tokens a minute.
MOST_REQUESTS, MOST_TOKENS = 2**31 - 1, 2**53


def add_terms(command: argparse.ArgumentParser) -> None:
    """Add the options that `create` and `set` share."""
    command.add_argument("--name", help="what the key is for")
    command.add_argument("--limit", metavar="USD", help="the most it may spend, over its life or in each period")
    command.add_argument(
        "--limit-reset", choices=[*map(str, LimitReset)], help="when the limit begins anew, in UTC (default: never)"
    )
    command.add_argument("--models", metavar="A,B", help="the models it may use (default: all)")
    command.add_argument("--expires", metavar="DATE", help="when it ends: 2027-01-31 or 2027-01-31T12:00Z (UTC)")
    command.add_argument("--addresses", metavar="A,B", help="networks it may be used from, as 203.0.113.0/24 (default: any)")
    command.add_argument("--requests-per-minute", metavar="N", help="requests a minute (default: the server's)")
    command.add_argument("--tokens-per-minute", metavar="N", help="tokens a minute (default: the server's)")


def new_terms(context: Context, options: argparse.Namespace) -> KeyTerms:
    """Return the terms of a new key. Raises `CommandFailed`, `InvalidAmount`."""
    terms = KeyTerms(**{**changes(context, options), "owner": options.owner})
    if terms.limit_reset is not LimitReset.NEVER and terms.spend_limit is None:
        raise CommandFailed("--limit-reset begins a limit anew: give the --limit as well")
    return terms


def changes(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `KeyTerms` that the options name, `none` as None. Raises `CommandFailed`, `InvalidAmount`."""
    readers: Mapping[str, Callable[[str], object]] = {
        "spend_limit": parse_usd,
        "models": lambda text: _models(context, text),
        "expires_at": _date,
        "addresses": _addresses,
        "requests_per_minute": lambda text: _rate("--requests-per-minute", text, MOST_REQUESTS),
        "tokens_per_minute": lambda text: _rate("--tokens-per-minute", text, MOST_TOKENS),
    }
    given = {
        "spend_limit": options.limit,
        "models": options.models,
        "expires_at": options.expires,
        "addresses": options.addresses,
        "requests_per_minute": options.requests_per_minute,
        "tokens_per_minute": options.tokens_per_minute,
    }
    found = {name: None if text == NONE else readers[name](text) for name, text in given.items() if text is not None}
    if options.name is not None:
        found["name"] = "" if options.name == NONE else _name(options.name)
    if options.limit_reset is not None:
        found["limit_reset"] = LimitReset(options.limit_reset)
    if options.owner in ("yes", "no"):
        found["owner"] = options.owner == "yes"
    return found


def _name(text: str) -> str:
    if len(text) > MAX_NAME or not text.isprintable():
        raise CommandFailed(f"a key's name has up to {MAX_NAME} printable characters")
    return text


def _models(context: Context, text: str) -> tuple[str, ...]:
    """Return the model ids in `A,B`, each checked against the catalogue."""
    known = Catalog(models_of(context.settings, context.environment)).ids()
    wanted = _listed(text)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise CommandFailed(f"no such model: {', '.join(unknown) or repr(text)}; the models are: {', '.join(known)}")
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


def _addresses(text: str) -> tuple[str, ...]:
    """Return the networks in `A,B`, as 203.0.113.0/24; a single address is a network of its own."""
    wanted = _listed(text)
    if not wanted:
        raise CommandFailed("no address: write networks like 203.0.113.0/24,2001:db8::/32")
    found = []
    for word in wanted:
        try:
            found.append(str(ip_network(word)))
        except ValueError as error:
            raise CommandFailed(f"'{word}' is no network like 203.0.113.0/24 or 2001:db8::/32: {error}") from None
    return tuple(found)


def _rate(option: str, text: str, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    if not 1 <= number <= most:
        raise CommandFailed(f"{option} is a number from 1 to {most}")
    return number


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
