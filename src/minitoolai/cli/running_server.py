"""What commands share that ask a running server, as any program would."""

from __future__ import annotations

import argparse
import json

from minitoolai.cli.context import CommandFailed, Context


def add_server_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say which server, and with which key."""
    command.add_argument("--key", help="API key (default: MINITOOLAI_API_KEY, else the data folder's first-key)")
    command.add_argument("--url", help="the server (default: host and port of the settings)")


def server_url(context: Context, options: argparse.Namespace) -> str:
    """Return the server's base URL, without a slash at its end."""
    server = context.settings.server
    return str(options.url or f"http://{server.host}:{server.port}").rstrip("/")


def authorization(context: Context, options: argparse.Namespace) -> dict[str, str]:
    """Return the header with the key. Raises `CommandFailed` where there is none."""
    key = options.key or context.environment.get("MINITOOLAI_API_KEY")
    if not key:
        try:
            key = (context.data_dir / "first-key").read_text(encoding="ascii").strip()
        except OSError:
            why = "no API key: give --key, set MINITOOLAI_API_KEY, or run `minitoolai key create`"
            raise CommandFailed(why) from None
    return {"authorization": f"Bearer {key}"}


def silent(base: str, error: Exception) -> CommandFailed:
    """Return what is said of a server that does not answer."""
    return CommandFailed(f"{base} does not answer ({error}): is `minitoolai serve` running?")


def refusal(body: bytes) -> CommandFailed:
    """Return what is said of a call that the server refused with `body`."""
    try:
        return CommandFailed(str(json.loads(body)["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return CommandFailed("the server's answer is not MiniToolAI's: check --url")
