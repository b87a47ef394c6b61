"""`minitoolai models`: the catalogue as this configuration makes it; `pull` fetches voices."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from minitoolai.cli.context import CommandFailed, Commands, Context, common, table
from minitoolai.core.catalog import ChatModel, Model, PictureModel, SpeechModel, TokenModel, TranscriptionModel
from minitoolai.core.money import format_usd
from minitoolai.integrations.downloads import Downloads, Wanted
from minitoolai.runtime.catalogue import models_of
from minitoolai.runtime.voices_to_pull import KOKORO, PIPER_VOICES, to_pull

#: Columns of the table, and what of a model stands in them.
_COLUMNS = {
    "INPUT $/1M": "input_usd_per_1m",
    "OUTPUT $/1M": "output_usd_per_1m",
    "$/IMAGE": "usd_per_image",
    "$/1M CHARS": "usd_per_1m_characters",
    "$/MINUTE": "usd_per_minute",
    "CONTEXT": "context_tokens",
}


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("models", help="models, prices and the engines that serve them"))
    command.set_defaults(run=_run)
    pull = common(
        command.add_subparsers(dest="action", metavar="ACTION").add_parser("pull", help="fetch voices for this machine")
    )
    pull.add_argument("names", nargs="*", metavar="NAME", help="kokoro, or a voice of Piper's")
    pull.add_argument("--list", action="store_true", help="name some that can be fetched")
    pull.add_argument("--base-url", metavar="URL", help="of a copy of the files (default: where they are published)")
    pull.set_defaults(run=_pull)


async def _run(context: Context, options: argparse.Namespace) -> None:
    models = models_of(context.settings, context.environment)
    shown: list[dict[str, Any]] = [
        {
            "id": model.id,
            "kind": model.kind,
            "engine": model.engine,
            "engines": [route.engine for route in model.routes],
            **_prices(model),
            "aliases": list(model.aliases),
        }
        for model in models
    ]
    rows: list[tuple[str, ...]] = [("MODEL", "ENGINE", *_COLUMNS)]
    for each in shown:
        cells = ("" if each[name] is None else str(each[name]) for name in _COLUMNS.values())
        rows.append((each["id"], ", ".join(each["engines"]) or "none", *cells))
    context.say(shown, table(rows))


def _prices(model: Model) -> dict[str, Any]:
    """Return what a model costs and how much it reads and writes; what its kind does not have is None."""
    tokens = model if isinstance(model, TokenModel) else None
    return {
        "input_usd_per_1m": format_usd(tokens.prices.input_nusd_per_1m) if tokens else None,
        "output_usd_per_1m": format_usd(tokens.prices.output_nusd_per_1m) if tokens else None,
        "usd_per_image": format_usd(model.image_nusd) if isinstance(model, PictureModel) else None,
        "usd_per_1m_characters": format_usd(model.character_nusd_per_1m) if isinstance(model, SpeechModel) else None,
        "usd_per_minute": format_usd(model.minute_nusd) if isinstance(model, TranscriptionModel) else None,
        "context_tokens": tokens.context_tokens if tokens else None,
        "max_completion_tokens": model.max_completion_tokens if isinstance(model, ChatModel) else None,
    }


async def _pull(context: Context, options: argparse.Namespace) -> None:
    if options.list:
        rows = [("NAME", "SPEAKS"), (KOKORO, "54 voices, 7 languages of which are spoken here"), *PIPER_VOICES.items()]
        context.say([{"name": name, "speaks": speaks} for name, speaks in rows[1:]], table(rows))
        return
    if not options.names:
        raise CommandFailed("Name what is to be fetched; minitoolai models pull --list names some.")
    if options.base_url and not options.base_url.startswith(("https://", "http://")):
        raise CommandFailed(f"--base-url is an address that begins with https:// or http://, and not {options.base_url!r}.")
    mirror = options.base_url.rstrip("/") if options.base_url else None
    pulled = [to_pull(name, context.data_dir.absolute() / "models", mirror) for name in options.names]
    shown = []
    async with Downloads() as downloads:
        for each in pulled:
            size = sum([await downloads.fetch(file, _Told()) for file in each.files])
            shown.append({"name": each.name, "kind": each.kind, "model_path": str(each.folder), "bytes": size})
    settings = {each.kind: each.settings() for each in pulled}
    said = [f"{each['name']}: {each['bytes']} bytes in {each['model_path']}" for each in shown]
    said += ["", "To use it, write into minitoolai.toml, with a price of your own, and restart:", "", *settings.values()]
    context.say(shown, "\n".join(said).rstrip())


class _Told:
    """Says on standard error how far a file is, once a second."""

    def __init__(self) -> None:
        self._said_at = 0.0

    def __call__(self, wanted: Wanted, has: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._said_at < 1 and has != total:
            return
        self._said_at = now
        share = f"{has * 100 // total} % of {total // 1000} kB" if total else f"{has // 1000} kB"
        sys.stderr.write(f"{wanted.path.name}: {share}\n")
