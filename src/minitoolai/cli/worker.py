"""`minitoolai worker`."""

from __future__ import annotations

import argparse

import msgspec

from minitoolai.cli.context import Commands, Context, common
from minitoolai.runtime.telemetry import start_logging
from minitoolai.runtime.work import WorkOptions, work


def add_to(commands: Commands) -> None:
    """Add the command."""
    about = "Draw pictures for a server on this or another machine."
    command = common(commands.add_parser("worker", help="draw pictures for a server", description=about))
    command.add_argument("--database", metavar="URL", help="the server's database, over [database] url")
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    start_logging(json=context.json_log)
    settings = context.settings
    if options.database is not None:
        database = msgspec.structs.replace(settings.database, url=options.database)
        settings = msgspec.structs.replace(settings, database=database)
    await work(WorkOptions(settings, context.data_dir, context.environment, context.json_log))
