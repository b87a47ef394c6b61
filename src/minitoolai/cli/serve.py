"""`minitoolai serve`."""

from __future__ import annotations

import argparse
from dataclasses import replace

import msgspec

from minitoolai.cli.context import CommandFailed, Commands, Context, common
from minitoolai.runtime.serve import ServeOptions, serve
from minitoolai.runtime.settings import ServerSettings
from minitoolai.runtime.telemetry import start_logging


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("serve", help="run the whole product", description="Run the whole product."))
    command.add_argument("--host", help="address to listen on")
    command.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    command.add_argument("--workers", type=int, metavar="N", help="gateway processes")
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    start_logging(json=context.json_log)
    chosen = {name: getattr(options, name) for name in ("host", "port", "workers")}
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        server = msgspec.convert({**msgspec.to_builtins(context.settings.server), **given}, ServerSettings)
    except msgspec.ValidationError as error:
        raise CommandFailed(f"{' '.join(f'--{name} {value}' for name, value in given.items())}: {error}") from None
    settings = msgspec.structs.replace(context.settings, server=server)
    context = replace(context, settings=settings)
    await serve(ServeOptions(context.settings, context.data_dir, context.environment, context.json_log))
