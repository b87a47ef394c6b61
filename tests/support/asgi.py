"""Requests to an application without a socket."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from minitoolai.edge.cors import Asgi
from tests.support.clients import Reply


async def ask(asgi: Asgi, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Reply:
    """Return what `asgi` answers a request without a body; `whole`: the reply came to its end."""
    path, _, query = target.partition("?")
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }  # fmt: skip
    await asgi(scope, receive, send)
    begin, *rest = sent
    got = {name.decode(): value.decode() for name, value in begin["headers"]}
    assert len(got) == len(begin["headers"]), "a header comes twice"
    whole = bool(rest) and not rest[-1].get("more_body", False)
    return Reply(begin["status"], got, b"".join(message["body"] for message in rest), whole)
