"""`minitoolai ledger verify | statement`."""

from __future__ import annotations

import argparse

from minitoolai.cli.context import CommandFailed, Commands, Context, common, moment, positive, table
from minitoolai.core.money import format_usd
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.verify import verify_ledger


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
        movements = await PgAccounts(database).statement(options.name, most=options.most)
    shown = [
        {
            "at": moment(row["at"]),
            "kind": row["kind"],
            "id": row["id"],
            "model": row["model"],
            "amount": format_usd(row["amount_nusd"]),
        }
        for row in movements
    ]
    rows = [("AT", "KIND", "AMOUNT", "MODEL", "ID")]
    rows += [(str(r["at"]), str(r["kind"]), str(r["amount"]), str(r["model"] or ""), str(r["id"])) for r in shown]
    context.say(shown, table(rows))
