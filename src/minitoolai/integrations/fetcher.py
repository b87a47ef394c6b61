"""Pictures that callers name by URL, fetched by the way of `reach`: redirects are followed by hand, each hop is checked
like the first, and nothing of ours goes out but a name."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
from yarl import URL

from minitoolai.core.errors import ImageTooLarge, InvalidImageUrl
from minitoolai.core.image_urls import MAX_IMAGE_BYTES, too_many_bytes
from minitoolai.integrations.reach import FAILURES, PUBLIC, Reach, Way

#: Seconds for one picture in all.
TOTAL_S = 10.0
#: Redirects followed: sites have one from an old name and one to a file store.
MAX_REDIRECTS = 3
UNREACHABLE = "it could not be fetched."

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"accept": "image/*", "accept-encoding": "identity", "user-agent": "MiniToolAI"}

log = logging.getLogger(__name__)


class Fetcher:
    """Fetches pictures."""

    def __init__(self, reach: Reach = PUBLIC) -> None:
        self._way = Way(reach)

    async def fetch(self, url: str, param: str) -> bytes:
        """Return what is at `url`, not looked into yet. Raises `InvalidImageUrl`, `ImageTooLarge`."""
        try:
            async with asyncio.timeout(TOTAL_S):
                return await self._follow(URL(url), param)
        except FAILURES as error:
            log.info("a caller's picture could not be fetched: %s", type(error).__name__)
            raise InvalidImageUrl(param=param, why=UNREACHABLE) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._way.close()

    async def _follow(self, url: URL, param: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._way.to(url).get(url, headers=_HEADERS, allow_redirects=False) as response:
                location = response.headers.get("location")
                if response.status not in _REDIRECTS or location is None:
                    return await _body(response, param)
                url = url.join(URL(location))
        raise InvalidImageUrl(param=param, why=f"it is redirected more than {MAX_REDIRECTS} times.")


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
