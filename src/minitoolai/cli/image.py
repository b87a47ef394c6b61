"""`minitoolai image`: have a running server draw a picture, and save it."""

from __future__ import annotations

import argparse
from pathlib import Path

import aiohttp

from minitoolai.cli.context import CommandFailed, Commands, Context, common
from minitoolai.cli.running_server import add_server_options, authorization, refusal, server_url, silent
from minitoolai.cli.server_jobs import WAIT_S, done, post

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WAIT_S + 60)
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
            made = await post(session, f"{base}/api/texttoimage/", body, headers)
            job = await done(session, f"{base}/api/texttoimage/jobs/", made)
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
