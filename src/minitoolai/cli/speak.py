"""`minitoolai speak`: have a running server speak a text, and save the sound as it comes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from minitoolai.cli.context import CommandFailed, Commands, Context, common
from minitoolai.cli.running_server import add_server_options, authorization, refusal, server_url, silent
from minitoolai.cli.server_jobs import WAIT_S, done
from minitoolai.core.speech import DEFAULT_FORMAT, FORMATS

#: A model may need a while for a long sentence; the server answers a question about a job within its `wait`.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WAIT_S + 60)
#: Endings of Ogg, in which Opus comes.
_OGG = ("ogg", "oga")
#: Stands for standard input and standard output.
_STREAM = "-"
#: Fields of the call that options of the same meaning give.
_FIELDS = ("model", "voice", "language", "speed")


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("speak", help="have a running server speak a text"))
    command.add_argument("text", nargs="+", help="what is said; - for standard input")
    command.add_argument("--model", default="espeak-ng")
    command.add_argument("--voice", metavar="NAME", help="default: one that speaks the text's language")
    command.add_argument("--language", metavar="TAG", help="as pl or pt-BR; default: told from the text")
    command.add_argument("--speed", type=float, metavar="NUMBER", help="0.25 to 4 times the voice's own")
    command.add_argument("--format", choices=FORMATS, help="default: by the file's name, else mp3")
    command.add_argument("-o", "--out", metavar="FILE", help="where to save it; - for standard output (default: speech.mp3)")
    add_server_options(command)
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    kind = options.format or _format_of(options.out)
    out = _Out(options.out or f"speech.{kind}")
    base = server_url(context, options)
    headers = authorization(context, options)
    text = " ".join(options.text)
    given = {field: getattr(options, field) for field in _FIELDS if getattr(options, field) is not None}
    body = {"text": sys.stdin.read().strip() if text == _STREAM else text, "format": kind, **given}
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            facts = await _spoken(session, base, body, headers, out)
    except aiohttp.ClientPayloadError:
        why = "the speech broke off before its end: what was spoken until then is charged; see the usage"
        raise CommandFailed(why) from None
    except aiohttp.ClientError as error:
        raise silent(base, error) from None
    finally:
        out.drop()
    if not out.is_stream:
        context.say({"file": out.name, **facts}, f"{out.name}\n[{facts['cost']} USD]")


async def _spoken(
    session: aiohttp.ClientSession, base: str, body: dict[str, Any], headers: dict[str, str], out: _Out
) -> dict[str, Any]:
    """Have the text spoken into `out`, as a job where it is long; return what is known of it."""
    async with session.post(f"{base}/api/texttospeech/", json=body, headers=headers) as reply:
        if reply.status != 200:
            raise refusal(await reply.read())
        if reply.content_type != "application/json":
            await out.write(reply.content.iter_any())
            call_id = reply.headers["x-request-id"]
            return {"request_id": call_id, "cost": await _cost(session, base, call_id, headers)}
        made = json.loads(await reply.read())
    job = await done(session, f"{base}/api/texttospeech/jobs/", made)
    async with session.get(job["audio_url"]) as reply:
        if reply.status != 200:
            raise refusal(await reply.read())
        await out.write(reply.content.iter_any())
    return {"jobid": made["jobid"], "cost": job["cost"]}


async def _cost(session: aiohttp.ClientSession, base: str, call_id: str, headers: dict[str, str]) -> str | None:
    """Return what a call cost: a stream's headers go out before it is known."""
    async with session.get(f"{base}/v1/usage", params={"request_id": call_id}, headers=headers) as reply:
        found = json.loads(await reply.read())["data"] if reply.status == 200 else []
    return str(found[0]["cost"]) if found else None


def _format_of(name: str | None) -> str:
    """Return the format of a file by the ending of its name. Raises `CommandFailed` where the ending is of none."""
    ending = Path(name or "").suffix.removeprefix(".").lower()
    if not ending or ending in FORMATS:
        return ending or DEFAULT_FORMAT
    if ending in _OGG:
        return "opus"
    raise CommandFailed(f"No sound of the kind .{ending} is made: name a --format, or end the name in {', '.join(FORMATS)}.")


class _Out:
    """Where the sound goes: standard output, or a file that has its name once it is complete."""

    def __init__(self, name: str) -> None:
        """Raises `CommandFailed` where the file's folder is not there."""
        self.name = name
        self.is_stream = name == _STREAM
        self._part = Path(f"{name}.part")
        folder = self._part.absolute().parent
        if not self.is_stream and not folder.is_dir():
            raise CommandFailed(f"there is no folder {folder}: make it, or choose another --out")

    async def write(self, sound: AsyncIterator[bytes]) -> None:
        """Write the whole sound."""
        if self.is_stream:
            async for data in sound:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            return
        with self._part.open("wb") as file:
            async for data in sound:
                file.write(data)
        self._part.replace(self.name)

    def drop(self) -> None:
        """Remove what did not become complete."""
        if not self.is_stream:
            self._part.unlink(missing_ok=True)
