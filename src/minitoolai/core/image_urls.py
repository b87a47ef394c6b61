"""The pictures in a chat body: where they stand, what they may be, and how one travels inside a `data:` URL."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from typing import Any

from minitoolai.core.errors import ImageTooLarge, InvalidImageUrl
from minitoolai.core.picture_header import PictureHeader, read_header

#: Bytes of one picture at most, and pictures of one call: OpenAI's limits
#: (https://platform.openai.com/docs/guides/images-vision#image-input-requirements).
MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_IMAGES = 500
#: Pixels of one picture at most: above what usual cameras make (a 50-megapixel sensor), 200 MB once decoded.
MAX_IMAGE_PIXELS = 51_000_000
FORMATS = "png, jpeg, webp or gif"

_DATA_URL = re.compile(r"data:image/(?:png|jpe?g|webp|gif);base64,", re.IGNORECASE)


def image_urls(body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the `image_url` objects of a checked chat body, each with the path of its URL, as errors name it."""
    for index, message in enumerate(body.get("messages", ())):
        content = message.get("content")
        for part, item in enumerate(content if isinstance(content, list) else ()):
            if item.get("type") == "image_url":
                yield f"messages[{index}].content[{part}].image_url.url", item["image_url"]


def with_urls(body: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    """Return a chat body with each picture's URL replaced by what `urls` has for it."""
    return {**body, "messages": [_replaced(message, urls) for message in body["messages"]]}


def without_images(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat body without its pictures, for what counts text alone."""
    return {**body, "messages": [_without_images(message) for message in body.get("messages", ())]}


def picture_of(url: str, param: str) -> bytes:
    """Return the picture inside a `data:` URL. Raises `InvalidImageUrl`, `ImageTooLarge`."""
    head = _DATA_URL.match(url)
    if head is None:
        raise InvalidImageUrl(param=param, why=f"it is no data: URL of a {FORMATS} picture in base64.")
    if (len(url) - head.end()) // 4 * 3 > MAX_IMAGE_BYTES + 2:
        raise ImageTooLarge(param=param, why=too_many_bytes())
    try:
        return a2b_base64(url[head.end() :], strict_mode=True)
    except (Base64Error, ValueError):  # the latter for what is not ASCII
        raise InvalidImageUrl(param=param, why="its base64 is not valid.") from None


def check_picture(data: bytes, param: str) -> PictureHeader:
    """Return the kind and size of a picture that may be decoded. Raises `InvalidImageUrl`, `ImageTooLarge`."""
    header = read_header(data)
    if header is None:
        raise InvalidImageUrl(param=param, why=f"it holds no {FORMATS} picture.")
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageTooLarge(param=param, why=too_many_bytes())
    if header.pixels > MAX_IMAGE_PIXELS:
        raise ImageTooLarge(param=param, why=too_many_pixels())
    return header


def data_url(media_type: str, picture: bytes) -> str:
    """Return a picture as a `data:` URL."""
    return f"data:{media_type};base64,{b64encode(picture).decode()}"


def too_many_bytes() -> str:
    """Return why a picture of too many bytes is refused."""
    return f"it has more than {MAX_IMAGE_BYTES // 1024 // 1024} MiB."


def too_many_pixels() -> str:
    """Return why a picture of too many pixels is refused."""
    return f"it has more than {MAX_IMAGE_PIXELS // 1_000_000} million pixels."


def _without_images(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [part for part in content if part.get("type") != "image_url"]}


def _replaced(message: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    parts = [
        {**part, "image_url": {**part["image_url"], "url": urls[part["image_url"]["url"]]}}
        if part.get("type") == "image_url"
        else part
        for part in content
    ]
    return {**message, "content": parts}
