"""`minitoolai account create | credit | show | list | suspend | resume`."""

from __future__ import annotations

import argparse
from typing import Any

from minitoolai.cli.context import CommandFailed, Commands, Context, common, table
from minitoolai.core.accounts import AccountView
from minitoolai.core.money import format_usd, parse_usd
from minitoolai.services.metering import new_call_id
from minitoolai.storage.accounts import PgAccounts

#: Characters of an account's name, and of a credit's id, as the database checks them.
MAX_NAME = MAX_ID = 200


def add_to(commands: Commands) -> None:
    """Add the family."""
    family = commands.add_parser("account", help="accounts and their credit").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    create = common(family.add_parser("create", help="make an account"))
    create.add_argument("name")
    create.add_argument("--credit", metavar="USD", help="credit to begin with")
    create.set_defaults(run=_create)
    credit = common(family.add_parser("credit", help="give credit to an account, once per id"))
    credit.add_argument("name")
    credit.add_argument("amount", metavar="USD")
    credit.add_argument("--id", required=True, help="your own id of this credit: repeating it moves nothing")
    credit.set_defaults(run=_credit)
    show = common(family.add_parser("show", help="show an account's balance"))
    show.add_argument("name")
    show.set_defaults(run=_show)
    listing = common(family.add_parser("list", help="list all accounts"))
    listing.set_defaults(run=_list)
    suspend = common(family.add_parser("suspend", help="refuse an account's calls from now on"))
    suspend.add_argument("name")
    suspend.set_defaults(run=_suspend, suspended=True)
    resume = common(family.add_parser("resume", help="take a suspended account's calls again"))
    resume.add_argument("name")
    resume.set_defaults(run=_suspend, suspended=False)


async def _create(context: Context, options: argparse.Namespace) -> None:
    name = options.name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise CommandFailed(f"an account's name has 1 to {MAX_NAME} printable characters")
    amount = parse_usd(options.credit) if options.credit is not None else 0
    async with context.database() as database:
        accounts = PgAccounts(database)
        account = await accounts.create(name, amount, transfer_id=new_call_id(), actor=context.actor)
    context.say(shown(account), f"made account {account.name} with {format_usd(account.balance)} USD")


async def _credit(context: Context, options: argparse.Namespace) -> None:
    amount = parse_usd(options.amount)
    if amount == 0:
        raise CommandFailed("a credit of 0 moves nothing: give an amount")
    if not 1 <= len(options.id) <= MAX_ID or not options.id.isprintable():
        raise CommandFailed(f"a credit's id has 1 to {MAX_ID} printable characters")
    async with context.database() as database:
        answer = await PgAccounts(database).credit(
            options.name, amount, credit_id=options.id, transfer_id=new_call_id(), actor=context.actor
        )
    word = "created" if answer.created else "exists"
    text = "credited" if answer.created else "was credited before under this id; nothing moved:"
    context.say(
        {"status": word, **shown(answer.account)},
        f"account {answer.account.name} {text} balance {format_usd(answer.account.balance)} USD",
    )


async def _show(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        account = await PgAccounts(database).show(options.name)
    text = (
        f"account {account.name}: balance {format_usd(account.balance)} USD, "
        f"held {format_usd(account.held)}, available {format_usd(account.available)}"
    )
    context.say(shown(account), text)


async def _list(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        accounts = await PgAccounts(database).all()
    rows = [("NAME", "BALANCE", "HELD", "AVAILABLE")]
    rows += [(a.name, format_usd(a.balance), format_usd(a.held), format_usd(a.available)) for a in accounts]
    context.say([shown(account) for account in accounts], table(rows))


async def _suspend(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        account = await PgAccounts(database).suspend(options.name, suspended=options.suspended, actor=context.actor)
    context.say(shown(account), f"account {account.name} is {'suspended' if account.suspended else 'active'}")


def shown(account: AccountView) -> dict[str, Any]:
    """Return an account as `--json` shows it."""
    return {
        "name": account.name,
        "state": "suspended" if account.suspended else "active",
        "balance": format_usd(account.balance),
        "held": format_usd(account.held),
        "available": format_usd(account.available),
    }
