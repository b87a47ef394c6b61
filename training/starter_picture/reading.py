"""Reads a picture back: which ground, which colour, which shape, and how well the outline fits; no model, only counting.

The strict rule, fixed before anything was measured: the ground's colour on at least 80 % of the border, the thing's
colour, and its outline overlapping its own template by at least 0.75 (area in both over area in either) and better than
every other shape's. The outline keeps its proportions: a stretched circle is no circle.
"""

from collections import deque
from dataclasses import dataclass
from functools import cache

import numpy
from PIL import Image, ImageDraw

from training.starter_picture.drawing import TURN_SPREAD
from training.starter_picture.shapes import GROUNDS, SHAPES, Point, put

LEAST_BORDER, LEAST_OVERLAP = 0.8, 0.75
NAMES = tuple(GROUNDS)
PALETTE = numpy.array(list(GROUNDS.values()), numpy.float32)
#: Pixels of the shorter side that are read at least; a larger picture is read at every second, third ... pixel.
READ_SIDE = 128
#: Pixels of a side on which outlines are laid over each other.
OUTLINE_SIDE = 48
#: A thing of fewer pixels is none.
LEAST_PIXELS = 30
#: The border is this part of the shorter side.
BORDER_PART = 20

Mask = numpy.ndarray


@dataclass(frozen=True)
class Seen:
    """What was read in a picture."""

    ground: str
    #: The share of the border that has the ground's colour.
    border: float
    #: Empty where nothing but ground was seen.
    colour: str
    shape: str
    #: How well the outline fits the shape's template, 0 to 1.
    overlap: float
    #: The middle of the thing as shares of the width and the height, and its share of all pixels.
    middle: Point
    area: float

    def is_strictly(self, colour: str, shape: str, ground: str) -> bool:
        """Tells whether the picture shows this, by the strict rule."""
        return self.grounded(ground) and (self.colour, self.shape) == (colour, shape) and self.overlap >= LEAST_OVERLAP

    def grounded(self, ground: str) -> bool:
        """Tells whether the ground is right, by the strict rule."""
        return self.ground == ground and self.border >= LEAST_BORDER


def read(image: Image.Image) -> Seen:
    """Reads the largest thing of a picture of one thing."""
    pixels = numpy.asarray(image.convert("RGB"))
    step = max(1, min(pixels.shape[:2]) // READ_SIDE)
    named = nearest(pixels[::step, ::step])
    counts = numpy.bincount(named[_border(named.shape)], minlength=len(NAMES))
    ground = int(counts.argmax())
    border = float(counts[ground] / counts.sum())
    others = numpy.bincount(named.ravel(), minlength=len(NAMES))
    others[ground] = 0
    colour = int(others.argmax())
    thing = largest(named == colour)
    if others[colour] == 0 or thing.sum() < LEAST_PIXELS:
        return Seen(NAMES[ground], border, "", "", 0.0, (0.5, 0.5), 0.0)
    rows, columns = numpy.nonzero(thing)
    height, width = thing.shape
    middle = (float(columns.mean() / width), float(rows.mean() / height))
    shape, overlap = best_shape(thing)
    return Seen(NAMES[ground], border, NAMES[colour], shape, overlap, middle, float(thing.mean()))


def nearest(pixels: numpy.ndarray) -> numpy.ndarray:
    """Gives for each pixel the number of the nearest known colour: (height, width, 3) to (height, width)."""
    distances = ((pixels[:, :, None, :].astype(numpy.float32) - PALETTE) ** 2).sum(-1)
    named: numpy.ndarray = distances.argmin(-1)
    return named


def nearest_name(image: Image.Image, place: Point) -> str:
    """Gives the name of the known colour nearest to the pixel at a place (shares of the width and the height)."""
    across, down = int(place[0] * image.width), int(place[1] * image.height)
    pixel = numpy.asarray(image.convert("RGB"))[down : down + 1, across : across + 1]
    return NAMES[int(nearest(pixel)[0, 0])]


def largest(mask: Mask) -> Mask:
    """Gives the largest connected part of a mask, neighbours side by side."""
    left = mask.copy()
    best: list[tuple[int, int]] = []
    for start in zip(*numpy.nonzero(mask), strict=True):
        if left[start]:
            found = _taken((int(start[0]), int(start[1])), left)
            best = max(best, found, key=len)
    part = numpy.zeros_like(mask)
    if best:
        part[tuple(numpy.array(best).T)] = True
    return part


def best_shape(mask: Mask) -> tuple[str, float]:
    """Gives the shape whose template the outline overlaps most, and by how much."""
    outline = _outline(mask)
    overlap, shape = max(
        (float((outline & template).sum() / (outline | template).sum()), shape) for shape, template in templates()
    )
    return shape, overlap


@cache
def templates() -> tuple[tuple[str, Mask], ...]:
    """Gives each shape's outline, upright and turned as far as the drawings turn."""
    found = []
    for shape in SHAPES:
        for turn in (-TURN_SPREAD, 0.0, TURN_SPREAD):
            image = Image.new("L", (256, 256), 0)
            put(ImageDraw.Draw(image), shape, (128, 128), 70, 255, 0, turn)
            found.append((shape, _outline(numpy.asarray(image) > 127)))
    return tuple(found)


def _outline(mask: Mask) -> Mask:
    """Gives a mask cut to its thing, in the middle of a square, at one size."""
    rows, columns = numpy.nonzero(mask)
    cut = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    side = max(cut.shape)
    square = numpy.zeros((side, side), numpy.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut * 255
    scaled = Image.fromarray(square).resize((OUTLINE_SIDE, OUTLINE_SIDE), Image.Resampling.BILINEAR)
    outline: Mask = numpy.asarray(scaled) > 127
    return outline


def _border(shape: tuple[int, ...]) -> Mask:
    width = max(3, min(shape) // BORDER_PART)
    border = numpy.ones(shape, bool)
    border[width:-width, width:-width] = False
    return border


def _taken(start: tuple[int, int], left: Mask) -> list[tuple[int, int]]:
    """Takes the part that holds a place out of the mask, and gives its places."""
    height, width = left.shape
    left[start] = False
    waiting, found = deque([start]), [start]
    while waiting:
        row, column = waiting.popleft()
        for place in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if 0 <= place[0] < height and 0 <= place[1] < width and left[place]:
                left[place] = False
                waiting.append(place)
                found.append(place)
    return found
