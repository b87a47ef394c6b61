"""What the model can draw: colours, grounds, outlines, places, sizes; and which combinations are kept for the evaluation."""

import hashlib
import math

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

#: Red, green and blue of 255.
COLOURS: dict[str, Colour] = {
    "red": (220, 30, 35),
    "orange": (250, 140, 20),
    "yellow": (250, 225, 50),
    "green": (35, 160, 60),
    "blue": (35, 80, 215),
    "purple": (135, 45, 165),
    "black": (20, 20, 22),
    "white": (248, 248, 248),
}
#: What lies behind the things: every colour, and gray, which no thing has.
GROUNDS: dict[str, Colour] = {**COLOURS, "gray": (150, 152, 155)}
#: The ground of a prompt that names none, always: a prompt fixes its picture, so that few steps can be right.
DEFAULT_GROUND = "gray"
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
#: The middle of a thing, as shares of the picture's width and height.
PLACES: dict[str, Point] = {
    "": (0.5, 0.5),
    "left": (0.27, 0.5),
    "right": (0.73, 0.5),
    "top": (0.5, 0.27),
    "bottom": (0.5, 0.73),
    "top left": (0.27, 0.27),
    "top right": (0.73, 0.27),
    "bottom left": (0.27, 0.73),
    "bottom right": (0.73, 0.73),
}
#: The radius of a thing, as a share of the picture's shorter side.
SIZES = {"small": 0.13, "": 0.24, "large": 0.36}
#: The same of each of two things.
PAIR_RADIUS = 0.17
#: A thing of plain size shrinks by this when it is not in the middle.
ASIDE = 0.85
#: The share of all combinations of colour, shape and ground that no picture of the training shows.
HELD_OUT_SHARE = 0.3


def held_out(colour: str, shape: str, ground: str) -> bool:
    """Tells whether this combination is kept for the evaluation; the same everywhere and always."""
    number = int(hashlib.sha256(f"{colour} {shape} {ground}".encode()).hexdigest(), 16)
    return number % 1000 < HELD_OUT_SHARE * 1000


def corners(shape: str, middle: Point, radius: float, turn: float = 0.0) -> list[Point]:
    """Gives the corners of a shape with straight sides, turned by `turn` (radians); ValueError for another shape."""
    across, down = middle
    if shape == "square":
        spokes = [(math.pi / 4 + side * math.pi / 2, 1.2 * radius) for side in range(4)]
    elif shape == "triangle":
        spokes = [(-math.pi / 2 + side * 2 * math.pi / 3, 1.25 * radius) for side in range(3)]
        down += 0.2 * radius
    elif shape == "star":
        spokes = [(-math.pi / 2 + tip * math.pi / 5, (0.5 if tip % 2 else 1.25) * radius) for tip in range(10)]
    elif shape == "cross":
        arm, end = 0.34 * radius, 1.1 * radius
        quarter = [(arm, -end), (arm, -arm), (end, -arm), (end, arm), (arm, arm), (arm, end)]
        points = quarter + [(-x, -y) for x, y in quarter]
        spokes = [(math.atan2(y, x), math.hypot(x, y)) for x, y in points]
    else:
        raise ValueError(f"{shape} has no corners")
    return [(across + length * math.cos(angle + turn), down + length * math.sin(angle + turn)) for angle, length in spokes]


def put(
    canvas: ImageDraw.ImageDraw,
    shape: str,
    middle: Point,
    radius: float,
    colour: Colour | int,
    ground: Colour | int,
    turn: float = 0.0,
) -> None:
    """Draws one filled shape; a ring's hole is filled with the ground."""
    if shape not in ("circle", "ring"):
        canvas.polygon(corners(shape, middle, radius, turn), fill=colour)
        return
    disc(canvas, middle, radius, colour)
    if shape == "ring":
        disc(canvas, middle, 0.55 * radius, ground)


def disc(canvas: ImageDraw.ImageDraw, middle: Point, radius: float, colour: Colour | int) -> None:
    """Draws a filled circle."""
    across, down = middle
    canvas.ellipse((across - radius, down - radius, across + radius, down + radius), fill=colour)
