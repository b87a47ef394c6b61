"""`minitoolai ledger verify | statement`."""

from __future__ import annotations

import argparse

from minitoolai.cli.context import CommandFailed, Commands, Context, common, moment, positive, table
from minitoolai.core.money import format_usd
from minitoolai.core.reports import Period, Scope
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.statement import PgStatement
from minitoolai.storage.verify import verify_ledger

#: Movements shown at most: what a terminal's owner can still read.
MOST_MOVEMENTS = 1_000_000


def add_to(commands: Commands) -> None:
    """Add the family."""
    family = commands.add_parser("ledger", help="the books").add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = common(family.add_parser("verify", help="recompute every figure from the entries"))
    verify.set_defaults(run=_verify)
    statement = common(family.add_parser("statement", help="an account's newest movements"))
    statement.add_argument("name")
    statement.add_argument("--most", type=positive, default=50, metavar="N", help="so many movements (default 50)")
    statement.set_defaults(run=_statement)


async def _verify(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        report = await verify_ledger(database)
    shown = {
        "ok": report.ok,
        "accounts": report.accounts,
        "entries": report.entries,
        "holds": report.holds,
        "problems": list(report.problems),
    }
    word = "the ledger is clean" if report.ok else "the ledger has problems:\n  " + "\n  ".join(report.problems)
    context.say(shown, f"{report.accounts} accounts, {report.entries} entries, {report.holds} open holds: {word}")
    if not report.ok:
        raise CommandFailed(f"{len(report.problems)} problems found")


async def _statement(context: Context, options: argparse.Namespace) -> None:
    async with context.database() as database:
        account = await PgAccounts(database).show(options.name)
        statement, scope = PgStatement(database), Scope(account.id, None)
        movements = await statement.entries(scope, Period(), after=None, limit=min(options.most, MOST_MOVEMENTS))
    shown = [
        {
            "at": moment(entry.at),
            "kind": entry.kind.name.lower(),
            "id": str(entry.id),
            "model": entry.model,
            "amount": format_usd(entry.amount),
        }
        for entry in movements.rows
    ]
    rows = [("AT", "KIND", "AMOUNT", "MODEL", "ID")]
    rows += [(str(r["at"]), str(r["kind"]), str(r["amount"]), str(r["model"] or ""), str(r["id"])) for r in shown]
    context.say(shown, table(rows))
