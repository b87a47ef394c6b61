"""What the evaluation asks for: combinations never drawn in training, places, sizes, pairs, scenes; the same every time."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import Image

from training.starter_picture.drawing import SCENES
from training.starter_picture.reading import nearest_name, read
from training.starter_picture.shapes import COLOURS, GROUNDS, PLACES, SHAPES, Point, held_out
from training.starter_picture.words import SCENE_CAPTIONS

#: How far a thing's middle may be from where it should be, as a share of the side.
PLACE_ERROR = 0.1
#: Prompts to look at; nothing reads their pictures back.
ODD_PROMPTS = (
    "red circle",
    "a blue star",
    "a photo of a dog",
    "",
    "masterpiece, best quality, green cross on white",
    "white triangle above a red square on blue",
    "tiny ring, black background",
    "An astronaut riding a horse",
)


@dataclass(frozen=True)
class Question:
    """One prompt and what its picture must show."""

    prompt: str
    #: Tells whether a picture is right.
    right: Callable[[Image.Image], bool]
    #: What its count is parted by: a shape's name, say.
    part: str


def combinations(count: int = 100) -> list[tuple[str, str, str]]:
    """Gives colour, shape and ground of combinations that no picture of the training showed."""
    found = [
        (colour, shape, ground)
        for colour in COLOURS
        for shape in SHAPES
        for ground in GROUNDS
        if colour != ground and held_out(colour, shape, ground)
    ]
    Random(1).shuffle(found)
    return found[:count]


def single(colour: str, shape: str, ground: str) -> Question:
    """Asks for one thing in the middle, read by the strict rule."""
    prompt = f"{colour} {shape} on a {ground} background"
    return Question(prompt, lambda image: read(image).is_strictly(colour, shape, ground), shape)


def singles(count: int = 100) -> list[Question]:
    """Asks for combinations never drawn: the figure the model is judged by."""
    return [single(*combination) for combination in combinations(count)]


def places(count: int = 100) -> list[Question]:
    """Asks for things away from the middle; right is the place, and everything else by the strict rule."""
    names = [place for place in PLACES if place]
    return [_placed(*combination, names[number % len(names)]) for number, combination in enumerate(combinations(count))]


def pairs(count: int = 100) -> list[Question]:
    """Asks for two things side by side; right is each by the strict rule in its half of the picture."""
    random = Random(2)
    found: list[Question] = []
    while len(found) < count:
        ground = random.choice(list(GROUNDS))
        one, other = ((random.choice(list(COLOURS)), random.choice(SHAPES)) for _ in range(2))
        if ground not in (one[0], other[0]) and one != other:
            found.append(_pair(one, other, ground))
    return found


def scenes() -> list[Question]:
    """Asks for each scene in each of its trained captions; right is the colour of ball and land in one place each."""
    return [_scene(name, caption) for name, captions in SCENE_CAPTIONS.items() for caption in captions]


def sizes(count: int = 24) -> list[tuple[str, str, str]]:
    """Gives prompts for the same thing small, plain and large."""
    return [
        (f"small {text}", text, f"large {text}")
        for text in (f"{colour} {shape} on a {ground} background" for colour, shape, ground in combinations(count))
    ]


def _placed(colour: str, shape: str, ground: str, place: str) -> Question:
    def right(image: Image.Image) -> bool:
        seen = read(image)
        return seen.is_strictly(colour, shape, ground) and _near(seen.middle, PLACES[place])

    return Question(f"{colour} {shape} on the {place}, {ground} background", right, place)


def _pair(one: tuple[str, str], other: tuple[str, str], ground: str) -> Question:
    def right(image: Image.Image) -> bool:
        half = image.width // 2
        left, rest = image.crop((0, 0, half, image.height)), image.crop((half, 0, image.width, image.height))
        return read(left).is_strictly(*one, ground) and read(rest).is_strictly(*other, ground)

    prompt = f"a {' '.join(one)} and a {' '.join(other)} on a {ground} background"
    return Question(prompt, right, "with a star" if "star" in (one[1], other[1]) else "without a star")


def _scene(name: str, caption: str) -> Question:
    def right(image: Image.Image) -> bool:
        return (nearest_name(image, (0.5, 0.3)), nearest_name(image, (0.2, 0.9))) == (SCENES[name].ball, SCENES[name].land)

    return Question(caption, right, name)


def _near(found: Point, wanted: Point) -> bool:
    return all(abs(one - other) <= PLACE_ERROR for one, other in zip(found, wanted, strict=True))
