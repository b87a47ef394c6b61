"""`minitoolai`: every command, its exit status, and the one line that a failure says.

Exit status: 0 done, 1 refused or failed with one line on standard error, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import minitoolai
from minitoolai.cli import account, chat, doctor, image, key, ledger, migrate, models, serve, speak, worker
from minitoolai.cli.context import CommandFailed, Context
from minitoolai.core.errors import DatabaseUnavailable, MiniToolError
from minitoolai.runtime.postgres import DatabaseStartFailed

_FAMILIES = (serve, worker, account, key, ledger, models, migrate, doctor, chat, image, speak)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="minitoolai", description="One key and one prepaid balance in front of every model.")
    top.add_argument("--version", action="version", version=f"minitoolai {minitoolai.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for family in _FAMILIES:
        family.add_to(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = parser().parse_args(arguments)
    try:
        context = Context.of(options)
        asyncio.run(options.run(context, options))
    except DatabaseUnavailable as error:
        why = str(error.__cause__ or "").partition("\n")[0] or "it does not answer"
        remedy = "check [database] url, and that it runs"
        print(f"minitoolai: the database cannot be used: {why}; {remedy}", file=sys.stderr)
        return 1
    except (MiniToolError, DatabaseStartFailed, CommandFailed) as error:
        print(f"minitoolai: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:  # a folder that cannot be made, a file that cannot be read
        place = f"{error.filename}: " if error.filename else ""
        print(f"minitoolai: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
