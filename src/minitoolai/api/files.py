"""`GET /files/{id}`: finished pictures and speech, by signed links that need no key."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from minitoolai.core.ids import request_id
from minitoolai.core.jobs import StoredFile
from minitoolai.core.picture_errors import FileGone, StorageUnavailable
from minitoolai.core.signatures import check_file, file_expiry, file_signature
from minitoolai.core.speech import MEDIA_TYPES as SOUNDS
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange, Headers
from minitoolai.services.job_ports import Blobs, Files

#: Everything below it is a file.
PATH = "/files/"
#: What a reply holds in memory for one caller, however slowly it is taken.
PIECE_BYTES = 1024 * 1024
#: Parameters that are looked at: programs through which a link passes may add some of their own.
_MOST_PARAMETERS = 20

#: On every reply, a refusal too: nothing that is sent from here can act as a page of this server.
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    # A browser shows a sound that is opened by itself in a page of its own, which may play that sound only.
    (b"content-security-policy", b"sandbox; default-src 'none'; media-src 'self'"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
#: What files are, by how their names end.
MEDIA_TYPES: Mapping[str, str] = dict([("png", "image/png"), *SOUNDS.items()])

_NAME = re.compile(rf"([0-9]{{1,16}})\.({'|'.join(MEDIA_TYPES)})")
_SECONDS = re.compile(r"[1-9][0-9]{0,11}")
#: One range of bytes (RFC 9110 §14.1.2): from a place to another, to the end, or the last ones.
_RANGE = re.compile(r"bytes=\s*([0-9]{1,18})?\s*-\s*([0-9]{1,18})?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Link:
    """A link that holds."""

    job_id: int
    #: The file's name, as the caller will keep it, and how it ends.
    name: str
    extension: str
    #: Seconds until it ends.
    left_s: int


def file_path(key: bytes, job_id: int, extension: str, now_s: int) -> str:
    """Return the path and query of a link to a job's file, made at `now_s`: behind the server's public URL."""
    name, expires_s = f"{job_id}.{extension}", file_expiry(now_s)
    return f"{PATH}{name}?e={expires_s}&s={file_signature(key, name, expires_s)}"


def add_files(routes: Routes, blobs: Blobs, files: Files, key: bytes, *, clock: Callable[[], float] = time.time) -> None:
    """Add the route. `key` signs links; `clock` tells the seconds since 1970."""

    async def file(exchange: Exchange) -> None:
        link = _link(exchange, key, int(clock()))
        # Nothing is looked up for a link that does not hold: what exists cannot be probed.
        found = await files.file(link.job_id) if link is not None else None
        if link is None or found is None or found.extension != link.extension:
            raise _gone(exchange)
        await _answer(exchange, blobs, link, found)

    routes.add("GET", PATH, file)
    routes.before[PATH] = lambda exchange: exchange.headers.extend(_ALWAYS)


def _link(exchange: Exchange, key: bytes, now_s: int) -> _Link | None:
    """Return what the request's link says; None where it does not hold, for whatever reason."""
    named = _NAME.fullmatch(exchange.path.removeprefix(PATH))
    if named is None:
        return None
    query = exchange.scope.get("query_string", b"").decode("latin-1")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return None
    expires = [value for name, value in pairs if name == "e"]
    signature = [value for name, value in pairs if name == "s"]
    if len(expires) != 1 or len(signature) != 1 or not _SECONDS.fullmatch(expires[0]):
        return None
    expires_s = int(expires[0])
    if not check_file(key, named[0], expires_s, signature[0], now_s):
        return None
    return _Link(int(named[1]), named[0], named[2], expires_s - now_s)


def _gone(exchange: Exchange) -> FileGone:
    exchange.headers.append((b"cache-control", b"no-store"))
    return FileGone()


async def _answer(exchange: Exchange, blobs: Blobs, link: _Link, file: StoredFile) -> None:
    """Answer with a file, in full, in part, or that the caller has it (RFC 9110 §13.2.2)."""
    # A blob is never changed under its name: the name stands for its bytes.
    tag = f'"{hashlib.sha256(file.name.encode()).hexdigest()[:32]}"'
    size = file.size_bytes
    headers: Headers = [
        (b"etag", tag.encode()),
        (b"cache-control", b"private, max-age=%d, immutable" % link.left_s),
        (b"accept-ranges", b"bytes"),
    ]
    if _has_already(exchange.header(b"if-none-match"), tag):
        await _send_head(exchange, 304, headers)
        return
    headers += [
        (b"content-type", MEDIA_TYPES[link.extension].encode()),
        (b"content-disposition", b'inline; filename="%b"' % link.name.encode()),
    ]
    part = _range(exchange, tag, size)
    if part is None:
        await _send(exchange, 200, headers, blobs, file.name, 0, size)
    elif part[0] >= size:
        await _send_head(exchange, 416, [*headers, (b"content-range", b"bytes */%d" % size), (b"content-length", b"0")])
    else:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (part[0], part[1] - 1, size)))
        await _send(exchange, 206, headers, blobs, file.name, *part)


def _has_already(if_none_match: str | None, tag: str) -> bool:
    """Whether one of the tags that the caller has is the file's; weak ones count (RFC 9110 §13.1.2)."""
    if if_none_match is None:
        return False
    had = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return tag in had or "*" in had


def _range(exchange: Exchange, tag: str, size: int) -> tuple[int, int] | None:
    """Return the bytes that are asked for: from, up to without; from `size` on where the file has none of them.

    None: all of it. So are ranges that are none, several at once, and of what the caller had of another file.
    """
    asked = exchange.header(b"range")
    if asked is None or exchange.method != "GET" or exchange.header(b"if-range") not in (None, tag):
        return None
    found = _RANGE.fullmatch(asked.strip())
    if found is None or (found[1] is None and found[2] is None):
        return None
    if found[1] is None:
        last = int(found[2])
        return (max(size - last, 0), size) if last else (size, size)
    first = int(found[1])
    if found[2] is None:
        return first, size
    return None if int(found[2]) < first else (first, min(int(found[2]) + 1, size))


async def _send(
    exchange: Exchange, status: int, headers: Headers, blobs: Blobs, blob: str, start: int, end: int
) -> None:  # fmt: skip
    """Send the bytes of a blob from `start` up to `end`, piece by piece, as fast as the caller takes them."""
    headers = [*headers, (b"content-length", b"%d" % (end - start))]
    if exchange.method == "HEAD":
        await _send_head(exchange, status, headers)
        return
    while start < end:
        piece = await blobs.get_range(blob, start, min(start + PIECE_BYTES, end))
        if piece is None and not exchange.started:
            raise _gone(exchange)
        if piece is None or len(piece) != min(PIECE_BYTES, end - start):
            raise StorageUnavailable()
        if not exchange.started:
            await _begin(exchange, status, headers)
        start += len(piece)
        await exchange.send({"type": "http.response.body", "body": piece, "more_body": start < end})
        exchange.expect_taken()


async def _send_head(exchange: Exchange, status: int, headers: Headers) -> None:
    """Send a reply without a body."""
    await _begin(exchange, status, headers)
    await exchange.send({"type": "http.response.body", "body": b""})


async def _begin(exchange: Exchange, status: int, headers: Headers) -> None:
    exchange.started, exchange.status = True, status
    own = (b"x-request-id", request_id(exchange.call_id).encode())
    message = {"type": "http.response.start", "status": status, "headers": [own, *exchange.headers, *headers]}
    await exchange.send(message)
