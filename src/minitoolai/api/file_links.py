"""Links to what jobs made, as replies carry them."""

from __future__ import annotations

import time
from collections.abc import Callable

from minitoolai.api.files import file_path
from minitoolai.core.jobs import JobView
from minitoolai.edge.exchange import Exchange


class FileLinks:
    """Makes links that hold for 1 to 2 hours (docs/reference/pictures.md)."""

    def __init__(self, key: bytes, public_url: str | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """`key` signs; `public_url`: what links begin with, else where each caller found this server."""
        self._key = key
        self._public_url = public_url.rstrip("/") if public_url else None
        self._clock = clock

    def of(self, exchange: Exchange, job: JobView) -> str:
        """Return the link to the file of a job that has one."""
        return self._link(self._public_url or exchange.base_url, job)

    def public(self, job: JobView) -> str | None:
        """Return the link where no request says how callers find this server; None: it is not known, or there is no file."""
        return self._link(self._public_url, job) if self._public_url and job.file else None

    def _link(self, base: str, job: JobView) -> str:
        return f"{base}{file_path(self._key, job.id, job.extension, int(self._clock()))}"
