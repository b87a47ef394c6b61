"""Callers of every kind, and what they received."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp

SEED = "/api/chat-completions/"
OPENAI = "/v1/chat/completions"
QUESTION = "What's the largest U.S. state by area?"
BODY: Mapping[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUESTION}]}
#: Where tests wait for something that takes milliseconds, they give up after this.
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Reply:
    """What a caller received."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    #: Whether the reply came to its proper end.
    whole: bool = True

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal."""
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def events(self) -> list[str]:
        """The data of each event of a stream, comments left out."""
        frames = self.text.split("\n\n")
        return [frame.removeprefix("data: ") for frame in frames if frame.startswith("data: ")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events that are JSON."""
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def done(self) -> bool:
        """Whether a stream ended with `[DONE]`."""
        return bool(self.events) and self.events[-1] == "[DONE]"

    @property
    def content(self) -> str:
        """The text that a stream or a whole reply carries."""
        if "event-stream" not in self.headers.get("content-type", ""):
            return str(self.json["choices"][0]["message"]["content"])
        choices = [choice for chunk in self.chunks for choice in chunk.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def usage(self) -> dict[str, Any]:
        """The usage object of a stream or a whole reply."""
        bodies = self.chunks if "event-stream" in self.headers.get("content-type", "") else [self.json]
        found: dict[str, Any] = next(body["usage"] for body in reversed(bodies) if body.get("usage"))
        return found

    @property
    def cost_nusd(self) -> int:
        """`usage.cost` in nano-dollars."""
        return round(float(self.usage["cost"]) * 10**9)


class Caller:
    """A program with one key. Each call has a connection of its own."""

    def __init__(self, base: str, key: str, account: str, account_id: int, key_id: int) -> None:
        self.base = base
        self.key = key
        self.account = account
        self.account_id = account_id
        self.key_id = key_id

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def send(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> Reply:
        """Send `body` (bytes as they are, all else as JSON) and read the reply to its end, proper or not."""
        data: bytes | io.BytesIO | None = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if isinstance(data, bytes) and len(data) > 1024 * 1024:
            data = io.BytesIO(data)
        shown = {**self.authorization, "content-type": "application/json", **(headers or {})}
        parts: list[bytes] = []
        whole = True
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session,
            session.request(method, self.base + path, data=data, headers=shown, allow_redirects=False) as reply,
        ):
            try:
                async for part in reply.content.iter_any():
                    parts.append(part)
            except aiohttp.ClientPayloadError:
                whole = False
            got = {name.lower(): value for name, value in reply.headers.items()}
        return Reply(reply.status, got, b"".join(parts), whole)

    async def seed(self, **fields: object) -> Reply:
        """Call the seed's surface."""
        return await self.send(SEED, {**BODY, **fields})

    async def openai(self, **fields: object) -> Reply:
        """Call OpenAI's surface."""
        return await self.send(OPENAI, {**BODY, **fields})

    async def get(self, path: str) -> Reply:
        """Get a page."""
        return await self.send(path, method="GET")

    def request(self, path: str, body: object, *more: str) -> bytes:
        """Return the bytes of a POST, for callers that speak HTTP by hand."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [
            f"POST {path} HTTP/1.1",
            "host: test",
            f"authorization: Bearer {self.key}",
            "content-type: application/json",
            f"content-length: {len(data)}",
            *more,
        ]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + data


async def until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Wait until `condition()`, or what it awaits, is true; return that."""
    give_up = time.monotonic() + timeout_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < give_up, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.02)


async def exchange_bytes(port: int, data: bytes, *, timeout_s: float = PATIENCE_S) -> bytes:
    """Send bytes and return everything that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(timeout_s):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def parse_reply(raw: bytes) -> Reply:
    """Return what an HTTP/1.1 server sent on one connection (content-length only)."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply(int(status.split()[1]), headers, body)


def hold_of(reply: Reply) -> UUID:
    """Return the id of the hold behind a reply, from its request id."""
    return UUID(reply.headers["x-request-id"].removeprefix("req_"))


def shows(reply: Reply, status: int, code: str, kind: str, *words: str, param: str | None = None) -> None:
    """The reply is that error, in OpenAI's shape, with our request id and a message that tells the remedy."""
    assert reply.status == status, (reply.status, reply.text)
    assert reply.json.keys() == {"error"}
    assert reply.error.keys() == {"message", "type", "param", "code"}
    assert (reply.error["code"], reply.error["type"], reply.error["param"]) == (code, kind, param)
    for word in words:
        assert word in reply.error["message"]
    assert re.fullmatch(r"req_[0-9a-f]{32}", reply.headers["x-request-id"])
    assert reply.headers["content-type"] == "application/json"


def ends_in_band(reply: Reply, code: str = "upstream_error") -> None:
    """Content, then an error event, then a proper end of the connection without `[DONE]`."""
    assert reply.status == 200
    assert reply.whole
    assert not reply.done
    last = reply.chunks[-1]
    assert last.keys() == {"error"}
    assert last["error"]["code"] == code
    assert last["error"].keys() == {"message", "type", "param", "code"}
    assert "canary" not in reply.text
    assert sum("error" in body for body in reply.chunks) == 1
