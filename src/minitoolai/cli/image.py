"""`minitoolai image`: have a running server draw a picture, and save it."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from minitoolai.cli.context import CommandFailed, Commands, Context, common
from minitoolai.cli.running_server import add_server_options, authorization, refusal, server_url, silent

#: The server answers a question about a job within its `wait`.
_WAIT_S = 30
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_WAIT_S + 60)
#: Fields of the call that options of the same meaning give.
_FIELDS = ("model", "negativePrompt", "scheduler", "steps", "cfgScale", "width", "height", "seed")


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("image", help="have a running server draw a picture"))
    command.add_argument("prompt", nargs="+")
    command.add_argument("--model", default="realvision")
    command.add_argument("--out", type=Path, metavar="FILE", help="where to save it (default: JOBID.png)")
    command.add_argument("--negative", dest="negativePrompt", metavar="TEXT", help="what is not to be seen")
    command.add_argument("--scheduler", metavar="NAME")
    command.add_argument("--steps", type=int, metavar="N")
    command.add_argument("--cfg-scale", dest="cfgScale", type=float, metavar="NUMBER")
    command.add_argument("--width", type=int, metavar="PIXELS")
    command.add_argument("--height", type=int, metavar="PIXELS")
    command.add_argument("--seed", type=int, metavar="N")
    add_server_options(command)
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    if options.out is not None and not options.out.absolute().parent.is_dir():
        raise CommandFailed(f"there is no folder {options.out.absolute().parent}: make it, or choose another --out")
    base = server_url(context, options)
    headers = authorization(context, options)
    given = {field: getattr(options, field) for field in _FIELDS if getattr(options, field) is not None}
    body = {"prompt": " ".join(options.prompt), **given}
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            made = await _post(session, f"{base}/api/texttoimage/", body, headers)
            job = await _drawn(session, base, made)
            async with session.get(job["image_url"]) as reply:
                picture = await reply.read()
                if reply.status != 200:
                    raise refusal(picture)
    except aiohttp.ClientError as error:
        raise silent(base, error) from None
    file = options.out or Path(f"{made['jobid']}.png")
    file.write_bytes(picture)
    shown = {"file": str(file), "jobid": made["jobid"], "seed": job["seed"], "cost": job["cost"]}
    context.say(shown, f"{file}\n[seed {job['seed']}, {job['cost']} USD]")


async def _drawn(session: aiohttp.ClientSession, base: str, made: dict[str, Any]) -> dict[str, Any]:
    """Wait for the picture; a command that is stopped meanwhile cancels it."""
    question = {"jobid": made["jobid"], "signature": made["signature"]}
    try:
        while True:
            job = await _post(session, f"{base}/api/texttoimage/jobs/", {**question, "wait": _WAIT_S}, {})
            if job["status"] == "error":
                raise CommandFailed(job["message"])
            if job["status"] == "success":
                return job
    except asyncio.CancelledError:
        await _post(session, f"{base}/api/texttoimage/jobs/cancel/", question, {})
        raise


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    async with session.post(url, json=body, headers=headers) as reply:
        raw = await reply.read()
        if reply.status != 200:
            raise refusal(raw)
        found: dict[str, Any] = json.loads(raw)
        return found
