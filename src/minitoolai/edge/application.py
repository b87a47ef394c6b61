"""The ASGI application: one table of routes, one place where every failure becomes a reply."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from minitoolai.core.errors import ApiError, Draining, MethodNotAllowed, NotFound, ServerError
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.records import CALLER_LEFT, request_record
from minitoolai.edge.addresses import Networks
from minitoolai.edge.exchange import Exchange, Receive, Scope, Send
from minitoolai.services.ports import Observer

Endpoint = Callable[[Exchange], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass
class Routes:
    """Which endpoint answers which method and path. Paths are written without a trailing slash."""

    exact: dict[str, dict[str, Endpoint]] = field(default_factory=dict)
    #: Paths that go on after the prefix, as `/v1/models/` + an id with slashes in it.
    prefixes: dict[str, dict[str, Endpoint]] = field(default_factory=dict)
    #: What is done to an exchange of a path, or of any below one that ends in a slash, before anything can fail: a surface
    #: with errors of its own shape says so.
    before: dict[str, Callable[[Exchange], None]] = field(default_factory=dict)

    def add(self, method: str, path: str, endpoint: Endpoint) -> None:
        """Let `endpoint` answer `path`; one that ends in a slash stands for everything below it."""
        table = self.prefixes if path.endswith("/") and path != "/" else self.exact
        table.setdefault(path, {})[method] = endpoint

    def find(self, path: str) -> tuple[str, Mapping[str, Endpoint]] | None:
        """Return the place of `path` in the table, as `/v1/models/{id}`, and its endpoints by method; or None."""
        found = self.exact.get(path)
        if found is not None:
            return path, found
        for prefix, endpoints in self.prefixes.items():
            if path.startswith(prefix):
                return f"{prefix}{{id}}", endpoints
        return None

    def near(self, path: str) -> str | None:
        """Return a path of the table that lacks the beginning of `path`, or the other way round; or None.

        A program whose base URL has a `/v1` too many, or none, asks for such a one.
        """
        asked = path.rstrip("/") or "/"
        return next((known for known in self.exact if asked.endswith(known) or known.endswith(asked)), None)

    def prepare(self, exchange: Exchange) -> None:
        """Do to an exchange what is to be done before anything can fail."""
        for path, before in self.before.items():
            if exchange.path == path or (path.endswith("/") and exchange.path.startswith(path)):
                before(exchange)


class Application:
    """Takes every request. Each path answers with and without one trailing slash, with no redirect.

    `observers` are told of each request once it has ended, whatever became of it.
    """

    def __init__(self, routes: Routes, observers: Sequence[Observer] = (), *, trusted_proxies: Networks = ()) -> None:
        """`trusted_proxies`: whose `X-Forwarded-For` is believed."""
        self._routes = routes
        self._trusted_proxies = trusted_proxies
        self._observers = observers
        #: Set when the process is about to end: paid calls are refused, health still answers.
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        exchange = Exchange(scope, receive, send, path, trusted_proxies=self._trusted_proxies)
        connection = exchange.connection
        task = asyncio.current_task()
        if connection is not None and task is not None:
            connection.on_lost = task.cancel
        try:
            await self._answer(exchange)
        except CallerLeft:
            exchange.abort()
        except asyncio.CancelledError:
            # The caller has gone, or the process is ending at once: there is nobody to answer.
            exchange.abort()
        except ApiError as error:
            await exchange.fail(error)
        except Exception:  # the edge: nothing below may end a connection without a reply
            log.exception("request %s failed", exchange.call_id)
            await exchange.fail(ServerError())
        finally:
            if connection is not None:
                connection.on_lost = None
            self._report(exchange)

    def _report(self, exchange: Exchange) -> None:
        """Tell the observers of a request that has ended."""
        if not self._observers:
            return
        record = request_record(
            exchange.call_id,
            exchange.facts,
            route=exchange.route,
            status=exchange.status or CALLER_LEFT,
            began_at=exchange.began_at,
            now=time.monotonic(),
            ended_at=time.time(),
            trace_parent=exchange.header(b"traceparent"),
        )
        for observer in self._observers:
            observer.ended(record)

    async def _answer(self, exchange: Exchange) -> None:
        self._routes.prepare(exchange)
        found = self._routes.find(exchange.path)
        if found is None:
            raise self._not_found(exchange)
        place, endpoints = found
        method = "GET" if exchange.method == "HEAD" and "HEAD" not in endpoints else exchange.method
        endpoint = endpoints.get(method)
        if endpoint is None:
            allowed = ", ".join(sorted(endpoints))
            raise MethodNotAllowed(method=exchange.method, path=_shown(exchange.path), allowed=allowed)
        exchange.route = f"{method} {place}"
        if self.draining and exchange.method == "POST":
            raise Draining(retry_after_s=2)
        await endpoint(exchange)

    def _not_found(self, exchange: Exchange) -> NotFound:
        near = self._routes.near(exchange.path)
        instead = f", but there is {near}: correct your program's base URL" if near else ""
        return NotFound(method=exchange.method, path=_shown(exchange.path), instead=instead)


def _shown(path: str) -> str:
    """Return a path fit to be shown back: short and printable."""
    return "".join(c for c in path[:100] if c.isprintable())
