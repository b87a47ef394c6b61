"""What there is to tell about a picture: the questions that the text encoder learns to answer, and the right answers."""

from training.starter_picture.drawing import SCENES, Picture
from training.starter_picture.shapes import COLOURS, GROUNDS, PLACES, SHAPES

#: Kinds of pictures: nothing said, one thing, two things, and each scene.
KINDS = ("empty", "one", "two", *SCENES)
#: How pairs stand, after the places of single things.
BESIDE, OVER = len(PLACES), len(PLACES) + 1
#: How many answers each question has, 'not said' last: kind, colour and shape of each thing, ground, place, size.
ANSWERS = (
    len(KINDS),
    len(COLOURS) + 1,
    len(SHAPES) + 1,
    len(COLOURS) + 1,
    len(SHAPES) + 1,
    len(GROUNDS) + 1,
    len(PLACES) + 3,
    4,
)
#: Radii that part small, plain and large.
SMALL_BELOW, LARGE_ABOVE = 0.15, 0.3


def answers(picture: Picture | None) -> list[int]:
    """Gives the right answer to each question about a picture, None for the empty caption."""
    found = [number - 1 for number in ANSWERS]
    if picture is None:
        found[0] = KINDS.index("empty")
    elif picture.scene:
        found[0] = KINDS.index(picture.scene)
    else:
        things = picture.things
        found[0] = KINDS.index("one" if len(things) == 1 else "two")
        for place, thing in enumerate(things):
            found[1 + 2 * place] = list(COLOURS).index(thing.colour)
            found[2 + 2 * place] = SHAPES.index(thing.shape)
        found[5] = list(GROUNDS).index(picture.ground)
        if len(things) == 1:
            radius = things[0].radius
            found[6] = list(PLACES.values()).index(things[0].place)
            found[7] = 0 if radius < SMALL_BELOW else 2 if radius > LARGE_ABOVE else 1
        else:
            found[6] = BESIDE if things[0].place[0] != things[1].place[0] else OVER
    return found
