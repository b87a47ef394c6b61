"""The tokens that a call's pictures may be, before a model has seen them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minitoolai.core.images import image_tokens, most_image_tokens
from minitoolai.core.inference import ImageInput


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """Tokens of all pictures of a call."""

    #: What they are at most: exact for those whose size is known.
    most: int
    #: What those are whose size is known.
    known: int


def count_images(rule: str, images: Iterable[ImageInput]) -> ImageTokens:
    """Return the tokens of `images` by a model's `rule` (`core.images`)."""
    known = unknown = 0
    for image in images:
        if image.pixels is None:
            unknown += most_image_tokens(rule, image.detail)
        else:
            known += image_tokens(rule, image.detail, *image.pixels)
    return ImageTokens(known + unknown, known)
