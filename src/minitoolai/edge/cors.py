"""Pages of other origins (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol): preflights and headers.

Credentials here are a header that the page sets, never a cookie: `Access-Control-Allow-Credentials` is not sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from minitoolai.edge.exchange import Headers, Receive, Scope, Send

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Stands for every origin.
ANY = "*"
#: Methods of the routes; a route refuses what it does not take.
_METHODS = b"GET, HEAD, POST, DELETE"
#: Headers that a page may send, those with a prefix below aside.
_REQUEST_HEADERS = frozenset(
    {
        "authorization", "content-type", "idempotency-key", "if-none-match", "if-range", "openai-organization",
        "openai-project", "range", "traceparent", "tracestate", "user-agent", "x-api-key", "x-max-cost", "x-request-id",
    }
)  # fmt: skip
#: What SDKs add: OpenAI's and Anthropic's.
_REQUEST_PREFIXES = ("anthropic-", "x-stainless-")
#: Headers of replies that a page may read.
EXPOSED = (
    "accept-ranges", "content-range", "etag",
    "request-id", "x-request-id", "x-minitoolai-cost", "x-minitoolai-balance", "x-minitoolai-ignored", "x-minitoolai-next",
    "x-minitoolai-replayed",
    "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "retry-after",
)  # fmt: skip
#: Seconds that a browser may remember a preflight: the most that Chrome does.
MAX_AGE_S = 7200
#: For programs on the operator's own machine, where any page of a browser could ask.
_NEVER = frozenset({"/metrics", "/metrics/"})
#: Names of a preflight's wanted headers that are looked at, and characters of each: far above any SDK's.
_MOST_NAMES, _LONGEST_NAME = 100, 100

_EXPOSE = (b"access-control-expose-headers", ", ".join(EXPOSED).encode())
_VARY = (b"vary", b"Origin")


class Cors:
    """Stands before the application."""

    def __init__(self, application: Asgi, origins: Collection[str], open_paths: Collection[str] = ()) -> None:
        """`origins`: whose pages may ask (`[server] cors_origins`). `open_paths`: where any page may, whatever is set:
        what signatures stand for, not keys. Each stands for everything below it, and ends in a slash."""
        self._application = application
        self._anywhere = ANY in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self._open_paths = tuple(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http" or scope["path"] in _NEVER:
            await self._application(scope, receive, send)
            return
        to_any = self._anywhere or f"{scope['path']}/".startswith(self._open_paths)
        if not to_any and not self._origins:
            await self._application(scope, receive, send)
            return
        asked = {name: value for name, value in scope["headers"] if name in (b"origin", *_PREFLIGHT)}
        allowed = self._allowed(asked.get(b"origin"), to_any)
        # That a reply depends on the origin, caches are told even where there is none.
        vary = [] if to_any else [_VARY]
        if allowed is not None and scope["method"] == "OPTIONS" and _PREFLIGHT[0] in asked:
            wanted = asked.get(_PREFLIGHT[1], b"").decode("latin-1")
            await send({"type": "http.response.start", "status": 204, "headers": [*_preflight(allowed, wanted), *vary]})
            await send({"type": "http.response.body", "body": b""})
            return
        added = vary if allowed is None else [(b"access-control-allow-origin", allowed), _EXPOSE, *vary]

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._application(scope, receive, send_with_headers)

    def _allowed(self, origin: bytes | None, to_any: bool) -> bytes | None:
        """Return what a page of `origin` is told that it may; None: nothing."""
        if to_any:
            return ANY.encode()  # without an origin too: what was fetched for no page, a browser may later show to one
        return origin if origin in self._origins else None


_PREFLIGHT = (b"access-control-request-method", b"access-control-request-headers")


def _preflight(allowed: bytes, wanted: str) -> Headers:
    return [
        (b"access-control-allow-origin", allowed),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", ", ".join(_allowed_headers(wanted)).encode()),
        (b"access-control-max-age", b"%d" % MAX_AGE_S),
    ]


def _allowed_headers(wanted: str) -> list[str]:
    """Return the names that a page may send: the fixed ones, and of the `wanted` ones those with a known prefix."""
    names = [name.strip().lower() for name in wanted.split(",")[:_MOST_NAMES]]
    more = {name for name in names if name.startswith(_REQUEST_PREFIXES) and len(name) <= _LONGEST_NAME and _plain(name)}
    return sorted(_REQUEST_HEADERS | more)


def _plain(name: str) -> bool:
    """Whether `name` is a header's."""
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()
