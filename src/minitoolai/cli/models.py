"""`minitoolai models`: the catalogue as this configuration makes it."""

from __future__ import annotations

import argparse
from typing import Any

from minitoolai.cli.context import Commands, Context, common, table
from minitoolai.core.catalog import ChatModel, Model, PictureModel, TokenModel
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
            "kind": model.kind,
            "engine": model.engine,
            "engines": [route.engine for route in model.routes],
            **_prices(model),
            "aliases": list(model.aliases),
        }
        for model in models
    ]
    rows: list[tuple[str, ...]] = [("MODEL", "ENGINE", "INPUT $/1M", "OUTPUT $/1M", "$/IMAGE", "CONTEXT")]
    columns = ("input_usd_per_1m", "output_usd_per_1m", "usd_per_image", "context_tokens")
    rows += [
        (str(m["id"]), ", ".join(m["engines"]) or "none", *("" if m[name] is None else str(m[name]) for name in columns))
        for m in shown
    ]
    context.say(shown, table(rows))


def _prices(model: Model) -> dict[str, Any]:
    """Return what a model costs and how much it reads and writes; what its kind does not have is None."""
    tokens = model if isinstance(model, TokenModel) else None
    return {
        "input_usd_per_1m": format_usd(tokens.prices.input_nusd_per_1m) if tokens else None,
        "output_usd_per_1m": format_usd(tokens.prices.output_nusd_per_1m) if tokens else None,
        "usd_per_image": format_usd(model.image_nusd) if isinstance(model, PictureModel) else None,
        "context_tokens": tokens.context_tokens if tokens else None,
        "max_completion_tokens": model.max_completion_tokens if isinstance(model, ChatModel) else None,
    }
