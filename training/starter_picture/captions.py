"""Thinks up pictures and says them in words: the endless data set, the same for the same source of chance."""

from dataclasses import dataclass
from random import Random

from training.starter_picture.drawing import SCENES, Picture, Thing
from training.starter_picture.shapes import (
    ASIDE,
    COLOURS,
    DEFAULT_GROUND,
    GROUNDS,
    PAIR_RADIUS,
    PLACES,
    SHAPES,
    SIZES,
    held_out,
)
from training.starter_picture.words import BESIDE, FILLERS, MIDDLE, OPENINGS, OVER, SCENE_CAPTIONS, TAILS, WHERE

LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: The share of pictures on the default ground, besides those that happen on it.
PLAIN_GROUND_SHARE = 0.2
#: The share of pairs that stand side by side; the others stand one over the other.
BESIDE_SHARE = 0.7


@dataclass(frozen=True)
class Shares:
    """How often what is drawn."""

    scenes: float = 0.05
    pairs: float = 0.28
    #: A star comes as often as this many other shapes: it is the hardest.
    star_weight: int = 2


@dataclass(frozen=True)
class Captioned:
    """A picture's description, and one of the captions it may have."""

    picture: Picture
    caption: str


def captioned(random: Random, shares: Shares, everything: bool = False) -> Captioned:
    """Gives the next picture and caption; with `everything` also combinations that are kept for the evaluation."""
    kind = random.random()
    if kind < shares.scenes:
        scene = random.choice(list(SCENES))
        return Captioned(Picture(scene=scene), with_noise(random.choice(SCENE_CAPTIONS[scene]), random))
    ground = DEFAULT_GROUND if random.random() < PLAIN_GROUND_SHARE else random.choice(list(GROUNDS))
    said = ground != DEFAULT_GROUND or random.random() < 0.5
    tail = random.choice(TAILS).format(ground) if said else ""
    if kind < shares.scenes + shares.pairs:
        pair = (_thing(ground, shares, random, everything), _thing(ground, shares, random, everything))
        made = _pair(ground, pair, tail, random)
    else:
        made = _single(ground, _thing(ground, shares, random, everything), tail, random)
    return Captioned(made.picture, with_noise(made.caption, random))


def with_noise(caption: str, random: Random) -> str:
    """Adds, now and then, what must change nothing: fillers and letters without meaning."""
    chance = random.random()
    if chance < 0.12:
        return f"{caption}, {random.choice(FILLERS)}"
    if chance < 0.18:
        return f"{random.choice(FILLERS)}, {caption}"
    if chance < 0.26:
        return f"{caption}, {_letters(random)}"
    if chance < 0.30:
        return f"{_letters(random)} {caption}"
    return caption


def _thing(ground: str, shares: Shares, random: Random, everything: bool) -> tuple[str, str]:
    """Gives a colour and a shape that may be shown on this ground."""
    shapes = [*SHAPES, *["star"] * (shares.star_weight - 1)]
    while True:
        colour, shape = random.choice(list(COLOURS)), random.choice(shapes)
        if colour != ground and (everything or not held_out(colour, shape, ground)):
            return colour, shape


def _pair(ground: str, pair: tuple[tuple[str, str], tuple[str, str]], tail: str, random: Random) -> Captioned:
    beside = random.random() < BESIDE_SHARE
    between = random.choice(BESIDE if beside else OVER)
    places = (PLACES["left"], PLACES["right"]) if beside else (PLACES["top"], PLACES["bottom"])
    (colour, shape), (other_colour, other_shape) = pair
    caption = f"{random.choice(OPENINGS)}{colour} {shape}{between}{other_colour} {other_shape}{tail}"
    things = tuple(Thing(colour, shape, PAIR_RADIUS, place) for (colour, shape), place in zip(pair, places, strict=True))
    return Captioned(Picture(ground, things), caption)


def _single(ground: str, thing: tuple[str, str], tail: str, random: Random) -> Captioned:
    colour, shape = thing
    size = random.choice(("", "", "", "small", "large"))
    # A large thing would not fit anywhere but in the middle.
    place = "" if size == "large" or random.random() < 0.5 else random.choice(list(PLACES))
    where = random.choice(WHERE).format(place) if place else random.choice(MIDDLE)
    said_size = random.choice(("large", "big")) if size == "large" else size
    radius = SIZES[size] * (ASIDE if place and not size else 1)
    body = f"{said_size} {colour} {shape}".strip()
    ends = where + tail if random.random() < 0.5 else tail + where
    return Captioned(Picture(ground, (Thing(colour, shape, radius, PLACES[place]),)), random.choice(OPENINGS) + body + ends)


def _letters(random: Random) -> str:
    return "".join(random.choice(LETTERS) for _ in range(random.randint(2, 8)))
