"""Callers that leave, and an upstream that stops where they want to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from aiohttp import web

from tests.support.clients import BODY, Caller, until
from tests.support.upstream import Asked, Upstream, completion


class Leaving:
    """One caller that leaves, and what its call must cost then."""

    def __init__(self, caller: Caller, upstream: Upstream) -> None:
        self.caller = caller
        self.upstream = upstream

    async def asked(self) -> Asked:
        """Wait until the upstream was asked."""
        found = await until(
            lambda: [asked for asked in self.upstream.asked if asked.body["user"] == self.caller.account], "the call"
        )
        return found[0]  # type: ignore[no-any-return]

    @contextlib.asynccontextmanager
    async def call(self, path: str, metadata: dict[str, str], *, reset: bool) -> AsyncIterator[asyncio.StreamReader]:
        """Send a call by hand; leave, by a reset or by closing, at the end of the block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.caller.base.rsplit(":", 1)[1]))
        try:
            body = {**BODY, "user": self.caller.account, "metadata": metadata}
            writer.write(self.caller.request(path, body))
            yield reader
        finally:
            if reset:
                writer.transport.abort()
            else:
                writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def as_told(upstream: Upstream, request: web.Request, asked: Asked) -> web.StreamResponse:
    """Answer as the call's metadata say: hang before the headers, after some frames, after part of a body, or not."""
    told = asked.body["metadata"]
    if told["how"] == "silent":
        await asyncio.sleep(60)
    if told["how"] == "frames":
        reply = await upstream.begin(request)
        await reply.write(b"".join(upstream.frames(asked)[: int(told["frames"])]))
        await asyncio.sleep(60)
    if told["how"] == "part":
        reply = web.StreamResponse(headers={"content-type": "application/json"})
        await reply.prepare(request)
        await reply.write(json.dumps(completion(told["text"], None)).encode().partition(b'", "refusal"')[0])
        await asyncio.sleep(60)
    if told["how"] == "slow":
        reply = await upstream.begin(request)
        for frame in upstream.frames(asked):
            await reply.write(frame)
            await asyncio.sleep(0.01)
        await reply.write_eof()
        return reply
    return await upstream.answer(request, asked)


async def read_frames(reader: asyncio.StreamReader, frames: int) -> bytes:
    """Read until so many frames have come, and no further than what is there."""
    seen = b""
    while seen.count(b"data: {") < frames:
        part = await asyncio.wait_for(reader.read(65536), 20)
        assert part, seen
        seen += part
    return seen


async def read_bytes(reader: asyncio.StreamReader, most: int) -> bytes:
    """Read so many bytes of a stream, or up to one byte before its end: the borders of its chunks vary."""
    seen = b""
    while len(seen) < most and not seen.endswith(b"\r\n0\r\n\r"):
        seen += await asyncio.wait_for(reader.readexactly(1), 20)
    return seen
