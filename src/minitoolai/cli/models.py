"""`minitoolai models`: the catalogue as this configuration makes it."""

from __future__ import annotations

import argparse
from typing import Any

from minitoolai.cli.context import Commands, Context, common, table
from minitoolai.core.catalog import ChatModel
from minitoolai.core.money import format_usd
from minitoolai.runtime.catalogue import models_of


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("models", help="models, prices and the engines that serve them"))
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    models = models_of(context.settings, context.environment)
    shown: list[dict[str, Any]] = [
        {
            "id": model.id,
            "kind": "chat" if isinstance(model, ChatModel) else "embedding",
            "engine": model.engine,
            "engines": [route.engine for route in model.routes],
            "input_usd_per_1m": format_usd(model.prices.input_nusd_per_1m),
            "output_usd_per_1m": format_usd(model.prices.output_nusd_per_1m),
            "context_tokens": model.context_tokens,
            "max_completion_tokens": model.max_completion_tokens if isinstance(model, ChatModel) else None,
            "aliases": list(model.aliases),
        }
        for model in models
    ]
    rows = [("MODEL", "ENGINE", "INPUT $/1M", "OUTPUT $/1M", "CONTEXT")]
    rows += [
        (str(m["id"]), ", ".join(m["engines"]) or "none", str(m["input_usd_per_1m"]), str(m["output_usd_per_1m"]),
         str(m["context_tokens"]))
        for m in shown
    ]  # fmt: skip
    context.say(shown, table(rows))
