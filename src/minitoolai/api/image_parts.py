"""Pictures in a chat body: `image_url` parts, their schema and what is refused before anything is held."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from minitoolai.core.errors import InvalidImageUrl, InvalidValue
from minitoolai.core.image_urls import MAX_IMAGES, check_picture, picture_of
from minitoolai.core.inference import ImageInput

#: Characters of an https URL at most: what common servers take in a request line.
MAX_URL_CHARACTERS = 8192

#: A host and no user before it. What the host is, is the fetcher's business, or the upstream's.
_HTTPS = re.compile(r"https://[^\s/?#@\\\x00-\x20\x7f]+(?:[/?#][^\s\\\x00-\x20\x7f]*)?", re.IGNORECASE)


class ImageUrl(msgspec.Struct):
    """Where a picture is, and how closely the model is to look."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    """A part of a message: an image."""

    image_url: ImageUrl


def image_input(part: ImagePart, role: str, param: str) -> ImageInput:
    """Return the picture of a message's part at the path `param`.

    Raises `InvalidValue`, `InvalidImageUrl`, `ImageTooLarge`.
    """
    if role != "user":
        raise InvalidValue(param=param, why="only messages of role 'user' hold images.")
    path, image = f"{param}.image_url.url", part.image_url
    detail = image.detail or "auto"
    if image.url[:5].lower() == "data:":
        header = check_picture(picture_of(image.url, path), path)
        return ImageInput(path, image.url, detail, (header.width, header.height))
    if image.url[:5].lower() == "http:":
        raise InvalidImageUrl(param=path, why="its URL begins with http:, and only https: is taken.")
    if len(image.url) > MAX_URL_CHARACTERS:
        raise InvalidImageUrl(param=path, why=f"its URL is longer than {MAX_URL_CHARACTERS} characters.")
    if not _HTTPS.fullmatch(image.url):
        raise InvalidImageUrl(param=path, why="that is no https: or data: URL, or it has a user or blanks in it.")
    return ImageInput(path, image.url, detail)


def check_number(images: list[ImageInput]) -> None:
    """Raise `InvalidValue` for more pictures than a call may have."""
    if len(images) > MAX_IMAGES:
        param = images[MAX_IMAGES].param.removesuffix(".image_url.url")
        raise InvalidValue(param=param, why=f"a call has at most {MAX_IMAGES} images.")


def picture_bytes(images: list[ImageInput]) -> int:
    """Return how many bytes of a body are pictures, and no text."""
    return sum(len(image.url) for image in images if image.pixels is not None)
