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
        "authorization", "content-type", "idempotency-key", "openai-organization", "openai-project", "traceparent",
        "tracestate", "user-agent", "x-api-key", "x-max-cost", "x-request-id",
    }
)  # fmt: skip
#: What SDKs add: OpenAI's and Anthropic's.
_REQUEST_PREFIXES = ("anthropic-", "x-stainless-")
#: Headers of replies that a page may read.
EXPOSED = (
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
    """Stands before the application where `[server] cors_origins` is set."""

    def __init__(self, application: Asgi, origins: Collection[str]) -> None:
        self._application = application
        self._any = ANY in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http" or scope["path"] in _NEVER:
            await self._application(scope, receive, send)
            return
        asked = {name: value for name, value in scope["headers"] if name in (b"origin", *_PREFLIGHT)}
        allowed = self._allowed(asked.get(b"origin"))
        if allowed is not None and scope["method"] == "OPTIONS" and _PREFLIGHT[0] in asked:
            wanted = asked.get(_PREFLIGHT[1], b"").decode("latin-1")
            await send({"type": "http.response.start", "status": 204, "headers": self._preflight(allowed, wanted)})
            await send({"type": "http.response.body", "body": b""})
            return
        added = self._headers(allowed)

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._application(scope, receive, send_with_headers)

    def _allowed(self, origin: bytes | None) -> bytes | None:
        """Return what a page of `origin` is told that it may; None: nothing."""
        if origin is None:
            return None
        if self._any:
            return ANY.encode()
        return origin if origin in self._origins else None

    def _headers(self, allowed: bytes | None) -> Headers:
        """Return what a reply carries; that it depends on the origin, caches are told even where there is none."""
        vary = [] if self._any else [_VARY]
        return vary if allowed is None else [(b"access-control-allow-origin", allowed), _EXPOSE, *vary]

    def _preflight(self, allowed: bytes, wanted: str) -> Headers:
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", ", ".join(_allowed_headers(wanted)).encode()),
            (b"access-control-max-age", b"%d" % MAX_AGE_S),
            *([] if self._any else [_VARY]),
        ]


_PREFLIGHT = (b"access-control-request-method", b"access-control-request-headers")


def _allowed_headers(wanted: str) -> list[str]:
    """Return the names that a page may send: the fixed ones, and of the `wanted` ones those with a known prefix."""
    names = [name.strip().lower() for name in wanted.split(",")[:_MOST_NAMES]]
    more = {name for name in names if name.startswith(_REQUEST_PREFIXES) and len(name) <= _LONGEST_NAME and _plain(name)}
    return sorted(_REQUEST_HEADERS | more)


def _plain(name: str) -> bool:
    """Whether `name` is a header's."""
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()
