"""Draws one picture from its description; the same for the same source of chance."""

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from training.starter_picture.shapes import GROUNDS, Colour, Point, disc, put

#: How far a colour may be off in each channel, of 255; a place as a share of the side; a radius as a share of itself;
#: a turn in radians. Small, so that a prompt fixes its picture.
COLOUR_SPREAD, PLACE_SPREAD, RADIUS_SPREAD, TURN_SPREAD = 7, 0.025, 0.07, 0.06


@dataclass(frozen=True)
class Thing:
    """One coloured shape of a picture."""

    colour: str
    shape: str
    #: A share of the picture's shorter side.
    radius: float
    #: Its middle, as shares of the width and the height.
    place: Point


@dataclass(frozen=True)
class Scene:
    """A simple landscape: a ball in the sky over land."""

    sky: Colour
    land: str
    ball: str
    #: Whether the land is flat, else it is two hills.
    flat: bool = False


SCENES = {
    "hills": Scene((130, 190, 240), "green", "yellow"),
    "sea": Scene((20, 30, 70), "blue", "white", flat=True),
    "desert": Scene((250, 200, 130), "orange", "red"),
}


@dataclass(frozen=True)
class Picture:
    """What a picture shows: things on a ground, or a scene."""

    ground: str = ""
    things: tuple[Thing, ...] = ()
    #: A name of `SCENES`; empty for a picture of things.
    scene: str = ""


def draw(picture: Picture, width: int, height: int, random: Random, fineness: int = 2) -> Image.Image:
    """Draws a picture of exactly this size in pixels, each pixel the mean of `fineness` times as many each way."""
    size = (width * fineness, height * fineness)
    image = _scene(SCENES[picture.scene], size, random) if picture.scene else _things(picture, size, random)
    return image.resize((width, height), Image.Resampling.BOX) if fineness > 1 else image


def _things(picture: Picture, size: tuple[int, int], random: Random) -> Image.Image:
    ground = _tint(picture.ground, random)
    image = Image.new("RGB", size, ground)
    canvas = ImageDraw.Draw(image)
    for thing in picture.things:
        radius = thing.radius * min(size) * random.uniform(1 - RADIUS_SPREAD, 1 + RADIUS_SPREAD)
        middle = _near(thing.place, PLACE_SPREAD, PLACE_SPREAD, size, random)
        turn = random.uniform(-TURN_SPREAD, TURN_SPREAD)
        put(canvas, thing.shape, middle, radius, _tint(thing.colour, random), ground, turn)
    return image


def _scene(scene: Scene, size: tuple[int, int], random: Random) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, scene.sky)
    canvas = ImageDraw.Draw(image)
    land = _tint(scene.land, random)
    disc(canvas, _near((0.5, 0.3), 0.03, 0.02, size, random), 0.15 * min(size), _tint(scene.ball, random))
    if scene.flat:
        canvas.rectangle((0, height * 0.62, width, height), fill=land)
        return image
    for middle in (0.2, 0.8):
        top = height * (0.6 + random.uniform(-0.02, 0.02))
        canvas.ellipse((width * (middle - 0.5), top, width * (middle + 0.5), height * 1.5), fill=land)
    return image


def _tint(name: str, random: Random) -> Colour:
    """Gives a colour near the named one."""
    red, green, blue = (max(0, min(255, part + random.randint(-COLOUR_SPREAD, COLOUR_SPREAD))) for part in GROUNDS[name])
    return red, green, blue


def _near(place: Point, across: float, down: float, size: tuple[int, int], random: Random) -> Point:
    """Gives a point in pixels near a place, at most these shares of the sides away."""
    width, height = size
    return (
        width * (place[0] + random.uniform(-across, across)),
        height * (place[1] + random.uniform(-down, down)),
    )
