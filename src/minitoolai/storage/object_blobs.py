"""Files in an object store by `obstore`: S3 and what speaks it, Google Cloud Storage, Azure Blob Storage.

One request makes a file, or several that count together: whole or not at all. Nothing is kept open between calls but pooled
connections.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from minitoolai.core.picture_errors import StorageUnavailable

#: Seconds that callers are told to wait: a disk that fills, or a store that restarts, takes about so long to notice.
RETRY_AFTER_S = 5
#: Characters of a name: far below S3's 1024 bytes, with a prefix of the operator's before it.
LONGEST_NAME = 200
#: Bytes of one request for a large file, and how many such are under way: what of it is in memory at once.
PART_BYTES, PARTS_AT_ONCE = 8 * 1024 * 1024, 2
#: Names of one page of a listing: what S3 gives at most.
_PAGE = 1000
#: Characters of a store's own words in the log.
_LONGEST_WORD = 300

#: No segment begins with a dot: what a folder keeps beside the files does, and `..` is none.
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9._-]*/)*[a-z0-9][a-z0-9._-]*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
#: Signatures and tokens stand in queries.
_QUERY = re.compile(r"\?[^\s\"')]*")

log = logging.getLogger(__name__)


class ObjectBlobs:
    """See `services.job_ports.Blobs`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, name: str, data: bytes, media_type: str) -> None:
        """See `services.job_ports.Blobs`."""
        check_name(name)
        with store_failures("written"):
            # In one request: parts of an upload that a killed process began would stay, unseen and paid for.
            await obstore.put_async(
                self._store, name, data, attributes={"Content-Type": media_type}, use_multipart=False
            )  # fmt: skip

    async def put_file(self, name: str, path: Path, media_type: str) -> None:
        """See `services.job_ports.Blobs`. What is larger than a part goes in several requests: its parts are seen together
        once all are there; what a killed process began is for the store's own rules to clear."""
        check_name(name)
        with store_failures("written"):
            await obstore.put_async(
                self._store, name, path, attributes={"Content-Type": media_type}, chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )  # fmt: skip

    async def get(self, name: str) -> bytes | None:
        """See `services.job_ports.Blobs`."""
        check_name(name)
        with store_failures("read"):
            try:
                found = await obstore.get_async(self._store, name)
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None

    async def get_range(self, name: str, start: int, end: int) -> bytes | None:
        """See `services.job_ports.Blobs`."""
        check_name(name)
        if not 0 <= start < end:
            raise ValueError(f"no range: {start} to {end}")
        with store_failures("read"):
            try:
                return bytes(await obstore.get_range_async(self._store, name, start=start, end=end))
            except FileNotFoundError:
                return None

    async def size(self, name: str) -> int | None:
        """See `services.job_ports.Blobs`."""
        check_name(name)
        with store_failures("read"):
            try:
                return (await obstore.head_async(self._store, name))["size"]
            except FileNotFoundError:
                return None

    async def delete(self, names: Sequence[str]) -> None:
        """See `services.job_ports.Blobs`."""
        for name in names:
            check_name(name)
        with store_failures("deleted"):
            if names:
                await obstore.delete_async(self._store, list(names))

    async def list_before(self, prefix: str, day: str, limit: int) -> list[str]:
        """See `services.job_ports.Blobs`."""
        check_name(prefix)
        if not _DAY.fullmatch(day):
            raise ValueError(f"no day: {day!r}")
        names: list[str] = []
        with store_failures("listed"):
            below = await obstore.list_with_delimiter_async(self._store, prefix)
            for folder in sorted(below["common_prefixes"]):
                folder_day = folder.rstrip("/").rsplit("/", 1)[-1]
                if not _DAY.fullmatch(folder_day) or folder_day >= day:
                    continue
                async for page in obstore.list(self._store, folder, chunk_size=min(limit, _PAGE)):
                    names += [found["path"] for found in page]
                    if len(names) >= limit:
                        return names[:limit]
        return names


def check_name(name: str) -> None:
    """Raise `ValueError` for what is no name of a file: names are made by the server, never by a caller."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise ValueError(f"no name of a file: {name[:LONGEST_NAME]!r}")


@contextmanager
def store_failures(what: str) -> Iterator[None]:
    """Turn a store's failure into `StorageUnavailable`, once the operator's log has it: files cannot be `what`."""
    try:
        yield
    except (BaseError, OSError) as error:
        log.warning("files cannot be %s: %s", what, said(error))
        raise StorageUnavailable(retry_after_s=RETRY_AFTER_S) from error


def said(error: Exception) -> str:
    """Return what a store says of its failure, fit for the log: its first line, without what may be secret."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _QUERY.sub("", str(error).partition("\n")[0])[:_LONGEST_WORD]
