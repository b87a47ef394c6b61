"""The one client for URLs that callers name.

A URL is parsed once, and only that parse is used. Its host must be a name; the name is looked up once for each hop, every
address must be the open Internet's (`addresses`), and the connection goes to those very addresses: no second look-up can
answer otherwise. The address is checked again where the socket is made, whatever led there. Redirects are followed by
hand. No proxy of the environment, no cookie, no compression, nothing of ours but a name. Whatever goes wrong on the way
to a server is one error: it tells nobody which hosts there are in the operator's network.
"""

from __future__ import annotations

import asyncio
import logging
import re
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

from minitoolai.core.errors import ImageTooLarge, InvalidImageUrl
from minitoolai.core.image_urls import MAX_IMAGE_BYTES, too_many_bytes
from minitoolai.integrations.addresses import is_public, parsed

#: Seconds for one picture in all, and to connect to one address.
TOTAL_S, CONNECT_S = 10.0, 4.0
#: Redirects followed: sites have one from an old name and one to a file store.
MAX_REDIRECTS = 3
#: Connections of one gateway at once.
MAX_CONNECTIONS = 32
#: Names looked up at once, in threads of their own: a name server that never answers holds up nobody but other pictures.
LOOKUP_THREADS = 8
UNREACHABLE = "it could not be fetched."

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"accept": "image/*", "accept-encoding": "identity", "user-agent": "MiniToolAI"}
#: A host as DNS has it. The last part is no number, of whatever base: the system's look-up takes `127.1`, `2130706433`
#: and `0x7f000001` for addresses.
_HOST = re.compile(r"(?=.{1,253}\.?$)(?:[a-z0-9_-]{1,63}\.)*(?!\d+\.?$|0x[0-9a-f]*\.?$)[a-z0-9_-]{1,63}\.?")

log = logging.getLogger(__name__)


def system_lookup(host: str) -> list[str]:
    """Return all addresses of a name, by the system. Raises `OSError`. Blocks."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be connected to: the open Internet by https, unless a test brings a world of its own."""

    allowed: Callable[[IPv4Address | IPv6Address], bool] = is_public
    ports: frozenset[int] = frozenset({443})
    lookup: Callable[[str], Sequence[str]] = system_lookup
    #: Whom to trust; None: the system's authorities.
    tls: ssl.SSLContext | None = None


PUBLIC = Reach()


class _Refused(OSError):
    """An address that may not be connected to."""


class Fetcher:
    """Fetches pictures."""

    def __init__(self, reach: Reach = PUBLIC) -> None:
        self._reach = reach
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="names")
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, param: str) -> bytes:
        """Return what is at `url`, not looked into yet. Raises `InvalidImageUrl`, `ImageTooLarge`."""
        try:
            async with asyncio.timeout(TOTAL_S):
                return await self._follow(URL(url), param)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.info("a caller's picture could not be fetched: %s", type(error).__name__)
            raise InvalidImageUrl(param=param, why=UNREACHABLE) from error

    async def close(self) -> None:
        """Close all connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            await self._session.close()

    async def _follow(self, url: URL, param: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
            async with self._http().get(url, headers=_HEADERS, allow_redirects=False) as response:
                location = response.headers.get("location")
                if response.status not in _REDIRECTS or location is None:
                    return await _body(response, param)
                url = url.join(URL(location))
        raise InvalidImageUrl(param=param, why=f"it is redirected more than {MAX_REDIRECTS} times.")

    def _check(self, url: URL) -> None:
        """Raise `_Refused` for a URL that no address is looked up for."""
        named = url.raw_host is not None and _HOST.fullmatch(url.raw_host)
        if url.scheme != "https" or url.port not in self._reach.ports or not named or url.raw_user or url.raw_password:
            raise _Refused

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


async def _body(response: aiohttp.ClientResponse, param: str) -> bytes:
    """Return the body of a reply, as it comes off the wire."""
    if response.status != 200:
        raise InvalidImageUrl(param=param, why=f"its server answered with status {response.status}.")
    if any(coding.lower() != "identity" for coding in response.headers.getall("content-encoding", ())):
        raise InvalidImageUrl(param=param, why="its server sent it compressed, which was not asked for.")
    if (response.content_length or 0) > MAX_IMAGE_BYTES:
        raise ImageTooLarge(param=param, why=too_many_bytes())
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_IMAGE_BYTES:
            raise ImageTooLarge(param=param, why=too_many_bytes())
    return b"".join(parts)
