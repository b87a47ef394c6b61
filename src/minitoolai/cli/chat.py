"""`minitoolai chat`: ask a running server, as any program would."""

from __future__ import annotations

import argparse
import json
from typing import Any

import aiohttp

from minitoolai.cli.context import CommandFailed, Commands, Context, common
from minitoolai.cli.running_server import add_server_options, authorization, refusal, server_url, silent
from minitoolai.core.chat_stream import delta_texts
from minitoolai.core.sse import FrameSplitter, frame_data

#: A model may think for long.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300)


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("chat", help="ask a running server a question"))
    command.add_argument("question", nargs="+")
    command.add_argument("--model", default="gpt-4o-mini")
    add_server_options(command)
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    base = server_url(context, options)
    body = {"model": options.model, "messages": [{"role": "user", "content": " ".join(options.question)}]}
    headers = authorization(context, options)
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(f"{base}/api/chat-completions/", json=body, headers=headers) as reply,
        ):
            if reply.status != 200:
                raise refusal(await reply.read())
            await _print(context, reply)
    except aiohttp.ClientError as error:
        raise silent(base, error) from None


async def _print(context: Context, reply: aiohttp.ClientResponse) -> None:
    splitter = FrameSplitter()
    texts: list[str] = []
    usage: dict[str, Any] = {}
    async for data in reply.content.iter_any():
        for frame in splitter.feed(data):
            text = frame_data(frame)
            if not text or text == b"[DONE]":
                continue
            chunk = json.loads(text)
            if "error" in chunk:
                raise CommandFailed(chunk["error"]["message"])
            usage = chunk.get("usage") or usage
            texts += delta_texts(chunk)
            if not context.json:
                print("".join(delta_texts(chunk)), end="", flush=True)
    cost = f"\n[{usage.get('total_tokens', '?')} tokens, {usage.get('cost', 0):.9f} USD]" if usage else ""
    context.say({"text": "".join(texts), "usage": usage}, cost)
