"""Pictures at any server that speaks OpenAI's images API: OpenAI, LocalAI, vLLM-Omni and the like.

Of what a caller may ask only the prompt and the size are known there: negative prompt, scheduler, steps, guidance and seed
are not sent, and no progress is heard until the picture has come (docs/howto/upstream-pictures.md).
"""

from __future__ import annotations

import asyncio
import logging
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from typing import Any

import msgspec

from minitoolai.core.catalog import PictureModel
from minitoolai.core.errors import InvalidValue, UpstreamError, UpstreamTimeout
from minitoolai.core.picture_header import read_header
from minitoolai.core.pictures import PictureRequest
from minitoolai.engines.openai_upstream import OpenAIReply, OpenAIUpstream

#: Bytes of a reply at most: above a picture of 2048 by 2048 pixels of noise in base64 (23 MB).
MAX_REPLY_BYTES = 64 * 1024 * 1024
#: Models of OpenAI that always answer with the picture itself and refuse to be told so
#: (https://platform.openai.com/docs/api-reference/images/create#images-create-response_format).
_SELF_EVIDENT = ("gpt-image", "chatgpt-image")

log = logging.getLogger(__name__)


class _Item(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None


class _Reply(msgspec.Struct):
    data: list[_Item]


_decode = msgspec.json.Decoder(_Reply).decode


class OpenAIImages:
    """One upstream that draws (`services.picture_ports.PictureEngine`)."""

    def __init__(self, upstream: OpenAIUpstream, parallel: int) -> None:
        self.name = upstream.name
        self.parallel = parallel
        self.between_bytes_s = upstream.settings.between_bytes_s
        self.total_s = upstream.settings.total_s
        self._upstream = upstream

    def check(self, model: PictureModel, request: PictureRequest) -> None:
        """Raise `InvalidValue` for a size that the model does not draw."""
        size = _size(request)
        if model.sizes and size not in model.sizes:
            why = f"the model '{model.id}' draws {', '.join(model.sizes)}, not {size}."
            raise InvalidValue(param="width", why=why)

    async def draw(self, model: PictureModel, request: PictureRequest, progress: Callable[[float], None]) -> bytes:
        """Return the picture; see `picture_ports.PictureEngine.draw`."""
        self.check(model, request)
        body: dict[str, Any] = {"model": model.upstream_id, "prompt": request.prompt, "n": 1, "size": _size(request)}
        if not model.upstream_id.startswith(_SELF_EVIDENT):
            body["response_format"] = "b64_json"
        try:
            async with asyncio.timeout(self.total_s):
                data = await self._read(model, await self._upstream.post("/images/generations", model, body))
        except TimeoutError as error:
            log.warning("engine %s did not answer in time", self.name)
            raise UpstreamTimeout(model=model.id) from error
        try:
            # Megabytes of base64 would hold up the other pictures' progress.
            return await asyncio.to_thread(_picture, data, request)
        except _Unusable as error:
            log.error("engine %s answered with what is no use for model %s: %s", self.name, model.id, error)
            raise UpstreamError(model=model.id) from error

    async def _read(self, model: PictureModel, reply: OpenAIReply) -> bytes:
        """Return the whole body of a reply. Raises `UpstreamError`, `TimeoutError`."""
        data = bytearray()
        try:
            while True:
                async with asyncio.timeout(self.between_bytes_s):
                    part = await reply.read()
                if not part:
                    return bytes(data)
                data += part
                if len(data) > MAX_REPLY_BYTES:
                    log.error("engine %s answered with more than %d MiB", self.name, MAX_REPLY_BYTES // 1024 // 1024)
                    raise UpstreamError(model=model.id)
        finally:
            reply.close()


class _Unusable(Exception):
    """A reply without the picture; what is wrong with it, in words of our own."""


def _size(request: PictureRequest) -> str:
    return f"{request.width}x{request.height}"


def _picture(reply: bytes, request: PictureRequest) -> bytes:
    """Return the picture in a reply. Raises `_Unusable`."""
    try:
        items = _decode(reply).data
    except msgspec.DecodeError:
        raise _Unusable("no reply of the images API") from None
    if not items or items[0].b64_json is None:
        if items and items[0].url is not None:
            raise _Unusable("a URL in place of the picture; have the server answer response_format b64_json")
        raise _Unusable("no picture")
    try:
        picture = a2b_base64(items[0].b64_json, strict_mode=True)
    except (Base64Error, ValueError):  # the latter for what is not ASCII
        raise _Unusable("base64 that is not valid") from None
    header = read_header(picture)
    if header is None:
        raise _Unusable("no picture in the base64")
    came = f"a {header.kind} of {header.width}x{header.height}"
    if header.kind != "png" or (header.width, header.height) != (request.width, request.height):
        raise _Unusable(f"{came} where a png of {_size(request)} was asked; set the model's sizes to those that it draws")
    return picture
