"""`minitoolai migrate`: bring the database to this program's schema."""

from __future__ import annotations

import argparse

from minitoolai.cli.context import Commands, Context, common
from minitoolai.storage.migrate import migrate, schema_version


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("migrate", help="bring the database to this program's schema"))
    command.add_argument(
        "--phase",
        choices=("before", "after", "all"),
        default="all",
        help="only the steps that a rolling upgrade needs now",
    )
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    async with context.database_url() as url:
        applied = await migrate(url, ("before", "after") if options.phase == "all" else (options.phase,))
        version = await schema_version(url)
    names = [f"{step.number:04d}_{step.name}" for step in applied]
    text = f"applied {', '.join(names)}; " if names else "nothing to do; "
    context.say({"applied": names, "version": version}, f"{text}the schema is at {version}")
