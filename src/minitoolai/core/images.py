"""What a picture is in prompt tokens, by OpenAI's published rules, one for each family of models.

Source: https://platform.openai.com/docs/guides/images-vision#calculating-costs. Models of the GPT-4o family see tiles of
512 pixels; the small ones of GPT-4.1 and o4-mini see patches of 32 pixels, whatever `detail` says. A picture is never
made larger. All arithmetic is on whole numbers, so that no rounding of a quotient adds a tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Protocol

#: A picture is made to fit into a square of this side, in pixels …
LONG_SIDE = 2048
#: … then its shorter side is brought down to this.
SHORT_SIDE = 768
TILE_SIDE = 512
#: Tiles of the largest picture after that: 2048 by 768 pixels.
MOST_TILES = 8
PATCH_SIDE = 32
#: A picture of more patches is made smaller until it has so many at most.
MOST_PATCHES = 1536


class _Rule(Protocol):
    """How a family of models counts a picture."""

    def most(self, detail: str) -> int:
        """Return the tokens of the largest picture."""
        ...

    def tokens(self, detail: str, width: int, height: int) -> int:
        """Return the tokens of a picture of so many pixels."""
        ...


@dataclass(frozen=True, slots=True)
class _Tiles:
    #: Tokens of any picture, and all of one with `detail: low`.
    base: int
    #: Tokens of each tile.
    tile: int

    def most(self, detail: str) -> int:
        return self.base if detail == "low" else self.base + self.tile * MOST_TILES

    def tokens(self, detail: str, width: int, height: int) -> int:
        return self.base if detail == "low" else self.base + self.tile * _tiles(width, height)


@dataclass(frozen=True, slots=True)
class _Patches:
    #: Hundredths of a token for each patch.
    hundredths: int

    def most(self, detail: str) -> int:
        return _ceiling(MOST_PATCHES * self.hundredths, 100)

    def tokens(self, detail: str, width: int, height: int) -> int:
        return _ceiling(_patches(width, height) * self.hundredths, 100)


@dataclass(frozen=True, slots=True)
class _Fixed:
    #: Tokens of a picture at most: all that an operator knows of a model that OpenAI did not make.
    count: int

    def most(self, detail: str) -> int:
        return self.count

    def tokens(self, detail: str, width: int, height: int) -> int:
        return self.count


_FIXED = "fixed:"
_RULES: Mapping[str, _Rule] = {
    "gpt-4o": _Tiles(85, 170),
    "gpt-4o-mini": _Tiles(2833, 5667),
    "gpt-4.1": _Tiles(85, 170),
    "gpt-4.1-mini": _Patches(162),
    "gpt-4.1-nano": _Patches(246),
    "o4-mini": _Patches(172),
}


def fixed_rule(tokens: int) -> str:
    """Return the name of the rule by which every picture is `tokens`."""
    return f"{_FIXED}{tokens}"


def most_image_tokens(rule: str, detail: str) -> int:
    """Return the tokens of the largest picture by `rule`: a model's name here, or one of `fixed_rule`."""
    return _named(rule).most(detail)


def image_tokens(rule: str, detail: str, width: int, height: int) -> int:
    """Return the tokens of a picture of `width` by `height` pixels, both above 0, by `rule`."""
    return _named(rule).tokens(detail, width, height)


def _named(rule: str) -> _Rule:
    if rule.startswith(_FIXED):
        return _Fixed(int(rule.removeprefix(_FIXED)))
    return _RULES[rule]


def _tiles(width: int, height: int) -> int:
    """Return how many tiles cover a picture, made smaller as a whole number of pixels over another."""
    shrunk, of = 1, 1
    for limit, side in ((LONG_SIDE, max(width, height)), (SHORT_SIDE, min(width, height))):
        if limit * of < side * shrunk:
            shrunk, of = limit, side
    return _ceiling(width * shrunk, of * TILE_SIDE) * _ceiling(height * shrunk, of * TILE_SIDE)


def _patches(width: int, height: int) -> int:
    """Return how many patches cover a picture, made smaller until one of its sides is whole patches where they are too many.

    The published shrink factor r = √(32² × 1536 / (w × h)) makes it √(1536 w / h) by √(1536 h / w) patches; it is shrunk
    on until the side that needs the more of it has no part of a patch left.
    """
    across, down = _ceiling(width, PATCH_SIDE), _ceiling(height, PATCH_SIDE)
    if across * down <= MOST_PATCHES:
        return across * down
    across = max(1, isqrt(MOST_PATCHES * width // height))
    down = max(1, isqrt(MOST_PATCHES * height // width))
    if across * height <= down * width:
        down = _ceiling(across * height, width)
    else:
        across = _ceiling(down * width, height)
    return min(across * down, MOST_PATCHES)


def _ceiling(number: int, divisor: int) -> int:
    return -(-number // divisor)
