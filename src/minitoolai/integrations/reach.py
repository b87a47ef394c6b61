"""Connections to where a caller's URL leads, and to nowhere else.

A URL is parsed once, and only that parse is used. Its host must be a name; the name is looked up once for each request,
every address must be the open Internet's (`addresses`), and the connection goes to those very addresses: no second look-up
can answer otherwise. The address is checked again where the socket is made, whatever led there. No proxy of the
environment, no cookie, no compression, no connection used twice.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from minitoolai.core.host_names import is_host_name
from minitoolai.integrations.addresses import is_public, parsed

#: Seconds to connect to one address.
CONNECT_S = 4.0
#: Connections of one process at once.
MAX_CONNECTIONS = 32
#: Names looked up at once, in threads of their own: a name server that never answers holds up nobody but other URLs.
LOOKUP_THREADS = 8
#: What may go wrong on the way to a server. Callers are told of all of it in the same words: which hosts there are in the
#: operator's network is none of their business.
FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


def system_lookup(host: str) -> list[str]:
    """Return all addresses of a name, by the system. Raises `OSError`. Blocks."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be connected to: the open Internet by https, unless a test brings a world of its own."""

    allowed: Callable[[IPv4Address | IPv6Address], bool] = is_public
    #: None: any.
    ports: frozenset[int] | None = frozenset({443})
    schemes: frozenset[str] = frozenset({"https"})
    lookup: Callable[[str], Sequence[str]] = system_lookup
    #: Whom to trust; None: the system's authorities.
    tls: ssl.SSLContext | None = None


PUBLIC = Reach()


class _Refused(OSError):
    """An address that may not be connected to."""


class Way:
    """The way to URLs of callers."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="names")
        self._session: aiohttp.ClientSession | None = None

    def to(self, url: URL) -> aiohttp.ClientSession:
        """Return what to ask `url` with, redirects not followed. Raises `OSError` for one that no address is looked up for;
        a request raises one of `FAILURES`."""
        reach = self._reach
        named = url.raw_host is not None and is_host_name(url.raw_host)
        port = reach.ports is None or url.port in reach.ports
        if url.scheme not in reach.schemes or not port or not named or url.raw_user or url.raw_password:
            raise _Refused
        return self._http()

    async def close(self) -> None:
        """Close all connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            await self._session.close()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_CheckedLookup(self._reach, self._threads),
                use_dns_cache=False,
                socket_factory=self._socket,
                ssl=self._reach.tls or True,
                force_close=True,
                limit=MAX_CONNECTIONS,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _socket(self, found: Any) -> socket.socket:
        """Make the socket for one address, the last thing before it connects."""
        family, kind, protocol, _, address = found
        _check_address(self._reach, address[0])
        return socket.socket(family, kind, protocol)


class _CheckedLookup(AbstractResolver):
    """Looks names up; one bad address among several is enough to refuse the name."""

    def __init__(self, reach: Reach, threads: ThreadPoolExecutor) -> None:
        self._reach = reach
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises `OSError`."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._reach.lookup, host)
        if not found:
            raise OSError("no address")
        return [self._result(host, port, text) for text in dict.fromkeys(found)]

    async def close(self) -> None:
        """Nothing is open here."""

    def _result(self, host: str, port: int, text: str) -> ResolveResult:
        address = _check_address(self._reach, text)
        return ResolveResult(
            hostname=host,
            host=str(address),
            port=port,
            family=socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6,
            proto=0,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )


def _check_address(reach: Reach, text: str) -> IPv4Address | IPv6Address:
    address = parsed(text)
    if address is None or not reach.allowed(address):
        raise _Refused
    return address
