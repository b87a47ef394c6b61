"""How large a picture is drawn, and which part of it is shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minitoolai.children.onnx_pictures.sizes import Plan, plan
from minitoolai.core.pictures import MAX_SIDE, MIN_SIDE


def test_without_a_native_size_the_next_multiples_are_drawn() -> None:
    """What is too much is cut off on both sides, to the pixel; a size that fits is left alone."""
    assert plan(512, 768, 64, None) == Plan(512, 768, (0, 0, 512, 768))
    assert plan(257, 1343, 64, None) == Plan(320, 1344, (31, 0, 288, 1343))


@pytest.mark.parametrize(
    ("size", "native", "grid", "drawn"),
    [
        ((1024, 1024), 256, 32, (256, 256)),
        ((256, 256), 256, 32, (256, 256)),
        ((300, 300), 512, 64, (512, 512)),
        ((257, 1343), 256, 32, (192, 1024)),
        ((1343, 257), 256, 32, (1024, 192)),
        ((1024, 768), 256, 32, (320, 224)),
        ((1024, 768), 512, 64, (640, 448)),
    ],
)
def test_with_a_native_size_something_near_it_is_drawn(
    size: tuple[int, int], native: int, grid: int, drawn: tuple[int, int]
) -> None:
    """In the asked aspect ratio, rounded up to the grid, never narrower than 0.75 of the native size."""
    found = plan(*size, grid, native)
    assert (found.width, found.height) == drawn


@pytest.mark.parametrize("native", [None, 64, 100, 256, 512, 2048])
@pytest.mark.parametrize("grid", [8, 32, 64])
def test_every_size_can_be_shown(native: int | None, grid: int) -> None:
    """Sides are multiples of the grid; the part that is shown lies inside, in the middle, in the asked aspect ratio."""
    for width, height in _sizes():
        found = plan(width, height, grid, native)
        left, top, right, bottom = found.box
        assert found.width % grid == found.height % grid == 0
        assert 0 <= left < right <= found.width
        assert 0 <= top < bottom <= found.height
        assert (right - left) * height == pytest.approx((bottom - top) * width)
        assert abs(left - (found.width - right)) <= 1
        assert abs(top - (found.height - bottom)) <= 1
        if native is None:
            assert (right - left, bottom - top) == (width, height)
            assert found.width - width < grid > found.height - height
        else:
            assert min(found.width, found.height) >= 0.75 * native
            assert left == pytest.approx(0) or top == pytest.approx(0), "as much of it as there is is shown"


def _sizes() -> Iterator[tuple[int, int]]:
    sides = [MIN_SIDE, 257, 320, 511, 640, 768, 1001, 1024, 1343, MAX_SIDE]
    return ((width, height) for width in sides for height in sides)
