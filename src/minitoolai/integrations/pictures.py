"""The pictures of a call, put into it: fetched by `fetcher`, decoded and encoded anew by the child `children/pictures`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from minitoolai.core.errors import ImageTooLarge, InvalidImageUrl, InvalidValue, ServiceUnavailable
from minitoolai.core.image_urls import (
    FORMATS,
    check_picture,
    data_url,
    image_urls,
    picture_of,
    too_many_pixels,
    with_urls,
)
from minitoolai.core.picture_wire import MEDIA_TYPES, Verdict
from minitoolai.integrations.fetcher import Fetcher
from minitoolai.integrations.looked_at import shown

#: Pictures of one call at most: models that are handed them so hold fewer, and each is a request to a stranger's server.
MAX_PICTURES = 20
#: Bytes of one call's pictures together, encoded anew: OpenAI's limit for a request
#: (https://platform.openai.com/docs/guides/images-vision#image-input-requirements).
MAX_TOTAL_BYTES = 50 * 1024 * 1024
#: Pictures in work at once, of one call and of a gateway: each may have 20 MiB in memory twice.
AT_ONCE_OF_A_CALL, AT_ONCE = 4, 16

log = logging.getLogger(__name__)


class InlinedPictures:
    """Puts pictures into chat bodies (`services.ports.Pictures`)."""

    def __init__(self, fetcher: Fetcher, socket: str) -> None:
        self._fetcher = fetcher
        #: Path of the child's Unix socket.
        self._socket = socket
        self._room = asyncio.Semaphore(AT_ONCE)

    async def inline(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See `services.ports.Pictures`. A URL that stands twice is fetched once."""
        params: dict[str, str] = {}
        for param, image in image_urls(body):
            params.setdefault(image["url"], param)
        if len(params) > MAX_PICTURES:
            param = list(params.values())[MAX_PICTURES].removesuffix(".image_url.url")
            raise InvalidValue(param=param, why=f"this model takes at most {MAX_PICTURES} images a call.")
        call = _Call()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {url: group.create_task(self._inlined(url, param, call)) for url, param in params.items()}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return with_urls(body, {url: task.result() for url, task in tasks.items()})

    async def close(self) -> None:
        """Close all connections."""
        await self._fetcher.close()

    async def _inlined(self, url: str, param: str, call: _Call) -> str:
        async with call.room, self._room:
            inside = url[:5].lower() == "data:"
            picture = picture_of(url, param) if inside else await self._fetcher.fetch(url, param)
            check_picture(picture, param)
            media_type, picture = await self._encoded_anew(picture, param)
        call.size += len(picture)
        if call.size > MAX_TOTAL_BYTES:
            why = f"the images of the call have more than {MAX_TOTAL_BYTES // 1024 // 1024} MiB together."
            raise ImageTooLarge(param=param, why=why)
        return data_url(media_type, picture)

    async def _encoded_anew(self, picture: bytes, param: str) -> tuple[str, bytes]:
        """Have the child look at a picture; return the media type and bytes of what it makes of it."""
        try:
            number, answer = await shown(self._socket, picture)
        except (OSError, EOFError, TimeoutError) as error:
            log.warning("the pictures child does not answer: %s", type(error).__name__)
            raise ServiceUnavailable(retry_after_s=2) from error
        verdict = Verdict(number)
        if verdict is Verdict.TOO_LARGE:
            raise ImageTooLarge(param=param, why=f"{too_many_pixels()[:-1]}, or takes too long to decode.")
        if verdict is Verdict.DAMAGED:
            raise InvalidImageUrl(param=param, why=f"it is damaged, or no {FORMATS} picture.")
        return MEDIA_TYPES[verdict], answer


class _Call:
    """What the pictures of one call have in common."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(AT_ONCE_OF_A_CALL)
        #: Bytes so far, encoded anew.
        self.size = 0
