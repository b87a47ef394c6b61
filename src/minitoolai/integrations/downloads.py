"""Files that an operator fetches: whole or not at all, and gone on with where the last try broke off.

What is half there lies beside its place, as `NAME.part`. Redirects are followed, to HTTPS only where the first address was.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from minitoolai.core.inner_errors import OperatorError

#: Seconds to connect, and between two pieces of a file.
CONNECT_S, BETWEEN_BYTES_S = 20.0, 60.0
_PIECE_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class DownloadFailed(OperatorError):
    """{url} cannot be fetched: {why}"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file that is to be fetched."""

    url: str
    #: Where it is to be.
    path: Path
    #: Its SHA-256 in hexadecimal; None: nobody published it, and its length alone is checked.
    sha256: str | None = None


#: Told how many bytes of a file are there, and how many it has; None: its server does not say.
Progress = Callable[[Wanted, int, int | None], None]


class Downloads:
    """Fetches files, one after the other."""

    def __init__(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=BETWEEN_BYTES_S)
        # A file is what its server has: nothing is unpacked on the way. A proxy of the operator's environment is used.
        headers = {"accept-encoding": "identity", "user-agent": "MiniToolAI"}
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False, trust_env=True, headers=headers)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._session.close()

    async def fetch(self, wanted: Wanted, progress: Progress) -> int:
        """Fetch a file unless it is there; return its bytes. Raises `DownloadFailed` naming the remedy."""
        if wanted.path.exists():
            return wanted.path.stat().st_size
        part = wanted.path.with_name(f"{wanted.path.name}.part")
        try:
            wanted.path.parent.mkdir(parents=True, exist_ok=True)
            await self._fetch(wanted, part, progress)
            if wanted.sha256 is not None and await asyncio.to_thread(_digest, part) != wanted.sha256:
                part.unlink()
                raise DownloadFailed(url=wanted.url, why="what came is another file (its checksum differs). Try again.")
            os.replace(part, wanted.path)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DownloadFailed(url=wanted.url, why=f"{_plain(error)}. Run it again: it goes on from there.") from error
        except OSError as error:
            why = f"{part.parent} cannot be written ({error.strerror}). Make room, or choose --data-dir."
            raise DownloadFailed(url=wanted.url, why=why) from error
        return wanted.path.stat().st_size

    async def _fetch(self, wanted: Wanted, part: Path, progress: Progress) -> None:
        """Bring `part` to the end of the file. Raises `DownloadFailed`, `aiohttp.ClientError`, `OSError`, `TimeoutError`."""
        has = _size(part)
        headers = {"range": f"bytes={has}-"} if has else {}
        async with self._session.get(wanted.url, headers=headers) as reply:
            if wanted.url.startswith("https:") and reply.url.scheme != "https":
                raise DownloadFailed(url=wanted.url, why="it leads to a page without encryption.")
            if reply.status == 416 and reply.headers.get("content-range") == f"bytes */{has}":
                return  # it is all there
            if reply.status == 416:  # what is there is no beginning of this file
                os.unlink(part)
                raise DownloadFailed(url=wanted.url, why="what was there of it is of another file. Run it again.")
            self._check(wanted, reply)
            ranged = _RANGE.fullmatch(reply.headers.get("content-range", "")) if reply.status == 206 else None
            if ranged is None or int(ranged[1]) != has:
                has = 0
            total = int(ranged[2]) if ranged is not None else reply.content_length
            with part.open("ab" if has else "wb") as file:
                async for piece in reply.content.iter_chunked(_PIECE_BYTES):
                    file.write(piece)
                    has += len(piece)
                    progress(wanted, has, total)
                file.flush()
                os.fsync(file.fileno())
        if total is not None and has != total:
            raise DownloadFailed(url=wanted.url, why=f"{has} of {total} bytes came. Run it again: it goes on from there.")

    def _check(self, wanted: Wanted, reply: aiohttp.ClientResponse) -> None:
        if reply.status == 404:
            raise DownloadFailed(url=wanted.url, why="there is no such file. Check the name.")
        if reply.status not in (200, 206):
            raise DownloadFailed(url=wanted.url, why=f"its server answered {reply.status}. Try again later.")
        if reply.content_type == "text/html":
            raise DownloadFailed(url=wanted.url, why="a web page came in place of the file. Is a login page in between?")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(error: BaseException) -> str:
    """Return what failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "its server did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "its server cannot be reached"
    return "the connection broke off"
