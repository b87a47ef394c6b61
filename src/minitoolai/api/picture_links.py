"""Links to finished pictures, as replies carry them."""

from __future__ import annotations

import time
from collections.abc import Callable

from minitoolai.api.files import file_path
from minitoolai.edge.exchange import Exchange


class PictureLinks:
    """Makes links that hold for 1 to 2 hours (docs/reference/pictures.md)."""

    def __init__(self, key: bytes, public_url: str | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """`key` signs; `public_url`: what links begin with, else where each caller found this server."""
        self._key = key
        self._public_url = public_url.rstrip("/") if public_url else None
        self._clock = clock

    def of(self, exchange: Exchange, job_id: int) -> str:
        """Return the link to a job's picture."""
        base = self._public_url or exchange.base_url
        return f"{base}{file_path(self._key, job_id, int(self._clock()))}"
