"""How large a picture is drawn for the size that is asked, and which part of it is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Shorter side of what is drawn, as a share of the native size, at least: below it a model has hardly seen a picture.
LEAST_SHORT_SIDE = 0.75
#: What a side may be above a multiple of the grid and still be that multiple: the rounding of floating point.
_ROUNDING = 1e-9

#: Left, top, right and bottom edge in pixels, which may be fractions.
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """A size to draw and what is done to it: the `box` of it is stretched to the size that was asked."""

    #: Pixels, multiples of the grid.
    width: int
    height: int
    #: Of the aspect ratio that was asked, in the middle.
    box: Box


def plan(width: int, height: int, grid: int, native_size: int | None) -> Plan:
    """Return what to draw for a picture of `width` by `height` pixels with a model whose sides are multiples of `grid`.

    Without a native size it is the next multiples, cut to size pixel by pixel. With one its area is about native_size²
    in the aspect ratio that is asked, the shorter side at least `LEAST_SHORT_SIDE` of it; it is stretched to cover the
    size and cut.
    """
    if native_size is None:
        drawn = _rounded_up(width, grid), _rounded_up(height, grid)
        cut = (drawn[0] - width) // 2, (drawn[1] - height) // 2
        return Plan(*drawn, (*cut, cut[0] + width, cut[1] + height))
    scale = native_size / math.sqrt(width * height)
    scale = max(scale, LEAST_SHORT_SIDE * native_size / min(width, height))
    drawn = _rounded_up(width * scale, grid), _rounded_up(height * scale, grid)
    shrink = min(drawn[0] / width, drawn[1] / height)
    left, top = (max(0.0, (have - want * shrink) / 2) for have, want in zip(drawn, (width, height), strict=True))
    return Plan(*drawn, (left, top, drawn[0] - left, drawn[1] - top))


def _rounded_up(side: float, grid: int) -> int:
    return math.ceil(side / grid - _ROUNDING) * grid
