"""What every command shares: its options, the settings, the database, and how answers are printed."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from minitoolai.runtime.config import data_dir, load_settings
from minitoolai.runtime.postgres import temporary_server
from minitoolai.runtime.settings import Settings
from minitoolai.storage.database import Database
from minitoolai.storage.migrate import migrate

#: What a family of commands adds itself to.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class CommandFailed(Exception):
    """A command cannot do what was asked; its text says why and what to do."""


@dataclass(frozen=True)
class Context:
    """One run of a command."""

    settings: Settings
    data_dir: Path
    environment: Mapping[str, str]
    json: bool

    @classmethod
    def of(cls, options: argparse.Namespace) -> Context:
        """Return the context of parsed `options`. Raises `ConfigInvalid`."""
        named = os.environ.get("MINITOOLAI_CONFIG")
        settings = load_settings(os.environ, options.config or (Path(named) if named else None))
        return cls(settings, data_dir(os.environ, options.data_dir), os.environ, options.json)

    @property
    def actor(self) -> str:
        """Who runs the command, for the audit trail."""
        try:
            return f"cli:{getpass.getuser()}"
        except (KeyError, OSError):
            return f"cli:{os.getuid()}"

    @property
    def json_log(self) -> bool:
        """Whether log lines are JSON: as the settings say, by themselves where nobody reads along."""
        form = self.settings.log.format
        return not sys.stderr.isatty() if form == "auto" else form == "json"

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Lend the migrated database: that of the settings, of the running server, or one started for the command."""
        async with self.database_url() as url:
            await migrate(url)
            database = Database(url, pool_size=2)
            try:
                yield database
            finally:
                await database.close()

    @contextlib.asynccontextmanager
    async def database_url(self) -> AsyncIterator[str]:
        """Lend the database's URL."""
        if self.settings.database.url is not None:
            yield self.settings.database.url
            return
        self.data_dir.mkdir(parents=True, exist_ok=True)
        async with temporary_server(self.data_dir) as url:
            yield url

    def say(self, shown: Mapping[str, Any] | Sequence[Mapping[str, Any]], text: str) -> None:
        """Print `shown` as JSON where `--json` asks for it, else `text`."""
        print(json.dumps(shown, default=_plain, ensure_ascii=False) if self.json else text)


def common(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options that every command takes."""
    command.add_argument("--json", action="store_true", help="answer as JSON")
    command.add_argument("--config", type=Path, metavar="FILE", help="settings (default: minitoolai.toml)")
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="data folder (default: the user's own)")
    return command


def positive(text: str) -> int:
    """Return the number in `text`, from 1 to what the database holds (for argparse)."""
    number = int(text)
    if not 1 <= number < 2**63:
        raise argparse.ArgumentTypeError("must be a number from 1 up")
    return number


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns, the first row being their names."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def moment(when: datetime | None) -> str | None:
    """Return a time in UTC to the second, or None."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ") if when is not None else None


def _plain(value: object) -> object:
    return moment(value) if isinstance(value, datetime) else str(value)
