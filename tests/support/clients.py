"""Callers of every kind, and a whole gateway in the test's own process for what only its inside can show."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import uvicorn

from minitoolai.core.access import KEY_BYTES, key_digest, key_hint, make_key
from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.money import format_usd, parse_usd
from minitoolai.edge.protocol import LimitedProtocol
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.settings import ModelSettings, OpenAIEngineSettings, ServerSettings, Settings
from minitoolai.runtime.wiring import Gateway, build_gateway
from minitoolai.services.metering import new_call_id
from minitoolai.storage.accounts import PgAccounts
from minitoolai.storage.database import Database
from minitoolai.storage.verify import verify_ledger

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
        return round(self.usage["cost"] * 10**9)


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


class Books:
    """A look into the database beside the product."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """Return rows."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def balance(self, caller: Caller) -> int:
        """Return what is on the caller's account, in nano-dollars."""
        rows = await self.fetch("SELECT balance FROM accounts WHERE id = $1", caller.account_id)
        return int(rows[0]["balance"])

    async def held(self) -> int:
        """Return what is held on all accounts, in nano-dollars."""
        return int((await self.fetch("SELECT coalesce(sum(held), 0) AS held FROM accounts"))[0]["held"])

    async def records(self, caller: Caller) -> list[dict[str, Any]]:
        """Return the usage records of the caller's account, oldest first."""
        query = "SELECT * FROM usage_records WHERE account_id = $1 ORDER BY created_at, id"
        return await self.fetch(query, caller.account_id)

    async def record(self, caller: Caller, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for the one usage record of the caller's account and return it."""
        await until(lambda: self.records(caller), "a usage record", timeout_s)
        (record,) = await self.records(caller)
        return record

    async def problems(self) -> tuple[str, ...]:
        """Return what `ledger verify` finds."""
        database = Database(self.url, pool_size=1)
        try:
            return (await verify_ledger(database)).problems
        finally:
            await database.close()

    async def caller(
        self,
        base: str,
        credit_usd: str = "5",
        *,
        limit_usd: str | None = None,
        models: Sequence[str] | None = None,
        account: str | None = None,
    ) -> Caller:
        """Make an account (or take `account`) and a key, without the time that commands take."""
        database = Database(self.url, pool_size=1)
        accounts = PgAccounts(database)
        name = account or f"caller-{new_call_id()}"
        secret = make_key(os.urandom(KEY_BYTES))
        try:
            if account is None:
                await accounts.create(name, actor="test")
                if parse_usd(credit_usd):
                    await accounts.credit(
                        name, parse_usd(credit_usd), credit_id=name, transfer_id=new_call_id(), actor="test"
                    )
            view = await accounts.show(name)
            key = await accounts.create_key(
                name,
                digest=key_digest(secret),
                hint=key_hint(secret),
                name="",
                limit_nusd=parse_usd(limit_usd) if limit_usd is not None else None,
                models=models,
                expires_at=None,
                actor="test",
            )
        finally:
            await database.close()
        return Caller(base, secret, name, view.id, key.id)


class LocalGateway:
    """A gateway on this event loop, listening on a real port."""

    def __init__(self, inside: Gateway, base: str, database_url: str) -> None:
        self.inside = inside
        self.base = base
        self.books = Books(database_url)

    @property
    def port(self) -> int:
        return int(self.base.rsplit(":", 1)[1])

    async def caller(self, credit_usd: str = "5", **options: Any) -> Caller:
        """Return a caller with an account of its own."""
        return await self.books.caller(self.base, credit_usd, **options)

    async def settle(self) -> None:
        """Wait until every call has ended and the database took its settlement."""
        await until(lambda: not len(self.inside.calls) and not self.inside.ledger.unsettled, "all calls settled")


@contextlib.asynccontextmanager
async def local_gateway(
    database_url: str,
    upstream_url: str,
    *,
    engine: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    models: Mapping[str, ModelSettings] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[LocalGateway]:
    """A gateway that serves gpt-4o-mini and gpt-4o by the upstream; gpt-4.1 has no engine."""
    served = {name: ModelSettings(engine="up") for name in ("gpt-4o-mini", "gpt-4o")}
    settings = Settings(
        server=ServerSettings(**(server or {})),
        engines={"up": OpenAIEngineSettings(base_url=upstream_url, **(engine or {}))},
        models={**served, **(models or {})},
    )
    boot = GatewayBoot(
        settings=settings,
        engines=dict(settings.engines),
        sockets={},
        environment=dict(environment or {}),
        database_url=database_url,
        listen_fd=-1,
        state_file="/nonexistent",
    )
    inside = await build_gateway(boot)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    uvicorn_server = _Server(
        uvicorn.Config(
            inside.application, http=LimitedProtocol, loop="none", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, timeout_graceful_shutdown=5,
        )
    )  # fmt: skip
    serving = asyncio.create_task(uvicorn_server.serve(sockets=[listener]))
    await until(lambda: uvicorn_server.started, "the gateway listens")
    try:
        yield LocalGateway(inside, f"http://127.0.0.1:{listener.getsockname()[1]}", database_url)
    finally:
        uvicorn_server.should_exit = True
        await serving
        listener.close()
        with contextlib.suppress(DatabaseUnavailable):  # a test may have taken it away for good
            await inside.close(5)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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


class CutWire:
    """A TCP proxy before a database on a Unix socket: `cut` takes the database away, `mend` gives it back."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._away = False
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> CutWire:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._away = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._away = False

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._away:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_unix_connection(self._path)
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}
            for end in (writer, far_writer):
                end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def usd(amount_nusd: int) -> str:
    """Return an amount as commands show it."""
    return format_usd(amount_nusd)


def hold_of(reply: Reply) -> UUID:
    """Return the id of the hold behind a reply, from its request id."""
    return UUID(reply.headers["x-request-id"].removeprefix("req_"))
